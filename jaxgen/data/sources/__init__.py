"""The sources of data sets: the digits of scikit-learn, TFDS image sets, and folders of images."""
