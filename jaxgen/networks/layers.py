"""What a layer of a `Stack` may be: its kinds, their numbers, and what is refused before anything is built."""

import numbers

Layer = tuple  # a kind and its numbers
WINDOW = ("features", "size", "stride", "padding")
NUMBERS = {  # of every kind, in order; the last may be left out where it is "extra"
    "conv": WINDOW,
    "conv_transpose": (*WINDOW, "extra"),
    "smooth_transpose": (*WINDOW, "extra"),
    "pool": ("size", "stride"),
    "average_pool": ("size", "stride"),
    "fold": ("side",),
    "unfold": ("side",),
    "shift": ("most",),
    "cutout": ("share",),
    "dense": ("features",),
    "seed": ("shrink", "features"),
    "reshape": ("height", "width", "features"),
    "batch_std": (),
    "relu": (),
    "leaky_relu": ("slope",),
    "batch_norm": (),
    "group_norm": ("channels",),
    "dropout": ("share",),
}
NONLINEAR = ("relu", "leaky_relu", "batch_norm", "group_norm", "dropout")  # no output but an image ends in one
BY_BATCH = ("batch_norm", "batch_std")  # what these make of an image depends on those beside it
OF_IMAGES = ("conv", "conv_transpose", "smooth_transpose", "pool", "average_pool", "fold", "unfold", "shift", "cutout")


def check_layers(key: str, layers: tuple) -> None:
    """Refuses a config's layers that no network can be built of.

    Raises:
      ValueError: one is no layer, its kind is unknown, or its numbers are not those that it takes.
    """
    for layer in layers:
        if not isinstance(layer, tuple) or not layer:
            raise ValueError(f'{key} must be a tuple of layers, such as (("dense", 256), ("relu",)); {layer!r} is none')
        kind, *given = layer
        if kind not in NUMBERS:
            raise ValueError(f'{key} has a layer of kind "{kind}"; choose from {", ".join(NUMBERS)}')
        names = NUMBERS[kind]
        told = f"such a layer is {(kind, *names)}"
        if not len(names) - ("extra" in names) <= len(given) <= len(names):
            raise ValueError(f"{key} has {layer}; {told}")
        by_name = dict(zip(names, given, strict=False))
        for name, number in by_name.items():
            if rule := broken_rule(kind, name, number):
                raise ValueError(f"{key} has {layer}, whose {name} must be {rule}; {told}")
        if "stride" in names and by_name["stride"] > by_name["size"]:
            raise ValueError(f"{key} has {layer}, whose stride must be at most its size, else it skips pixels; {told}")
        if by_name.get("extra", 0) >= by_name.get("stride", 1):
            raise ValueError(f"{key} has {layer}, whose extra must be below its stride; {told}")


def broken_rule(kind: str, name: str, number) -> str:
    """What a number of that name must be where it is not, else ""."""
    if name == "slope":
        return "" if isinstance(number, numbers.Real) else "a number"
    if name == "share":
        return "" if isinstance(number, numbers.Real) and 0 <= number < 1 else "at least 0 and below 1"
    least = 0 if name in ("padding", "extra", "most") else 1 + ((kind, name) == ("smooth_transpose", "size"))
    return "" if isinstance(number, int) and number >= least else f"a whole number of at least {least}"
