"""TODO: jaxgen.distributed.compiler_options."""

COMPILER_OPTIONS = {  # by platform
    # A step is a CUDA graph of a hundred small kernels: those that do not need each other's results run side by side.
    # Of cond_aae's tutorial an H100 so takes 2,646 steps a second, 2,315 one by one.
    "gpu": {"xla_gpu_command_buffer_scheduling_mode": "CONCURRENT"},
    # By default a loop over steps copies every weight that a step both reads and replaces, and YNNPACK convolves, not
    # Eigen. Two cores of an EPYC take .92 to 1.00 of the time over a step without the copies (deep_ae .92, ae .98,
    # cond_aae .99), and .83 over one of conv_ae, at 7 × 7 pixels, by Eigen's convolutions.
    "cpu": {
        "xla_cpu_copy_insertion_use_region_analysis": True,
        "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE",
    },
}
