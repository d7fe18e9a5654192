"""The meaning of a training folder's subfolders: splits (train, validation, test), or classes."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxgen.data.file_finder import printable

TRAIN, VALIDATION, TEST = range(3)
SPLIT_NAMES = ("train", "validation", "test")
SPLIT_FOLDERS = {  # in any case
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}

logger = logging.getLogger(__name__)


class Place(NamedTuple):
    """What the folders around a file say about it."""

    split: int | None  # TRAIN, VALIDATION or TEST; None if the splits are chosen at random
    class_name: str  # "" if the folder has no classes


def find_split_folders(root: Path, names: Sequence[str]) -> dict[str, int]:
    """Returns the split of each subfolder, or {} if the subfolders are classes.

    They are splits if all of them have names of splits and one is the training split. A class may therefore be called
    "train" next to other classes.

    Args:
      root: the folder.
      names: paths of its image files, relative to `root`.

    Raises:
      ValueError: two subfolders are the same split, or the training split is missing.
    """
    folders = sorted({name.partition("/")[0] for name in names if "/" in name})
    splits = {folder: SPLIT_FOLDERS[folder.casefold()] for folder in folders if folder.casefold() in SPLIT_FOLDERS}
    listed = ", ".join(f"{printable(folder)}/" for folder in splits)
    if len(splits) < len(folders):
        if TRAIN in splits.values() and len(splits) > 1:
            logger.warning(
                "%s: the folders %s are classes, like the others beside them; they are splits only without others",
                root,
                listed,
            )
        return {}
    if len(set(splits.values())) < len(splits):
        raise ValueError(f"{root} has two folders for the same split ({listed}); join them, or rename one")
    if len(splits) > 1 and TRAIN not in splits.values():
        raise ValueError(f"{root} has {listed} but no train/; add it, or rename the folders if they are classes")
    return splits if TRAIN in splits.values() else {}


def find_wrapped_splits(root: Path, names: Sequence[str]) -> str:
    """Returns the only subfolder if it has split folders, as unpacked archives often have; "" otherwise.

    Args:
      root: the folder.
      names: paths of its image files, relative to `root`.

    Raises:
      ValueError: see `find_split_folders`.
    """
    folders = {name.partition("/")[0] for name in names}
    inner = [name.partition("/")[2] for name in names]
    if len(folders) != 1 or not all(inner) or find_split_folders(root, names):
        return ""
    (folder,) = folders
    return folder if find_split_folders(root / folder, inner) else ""


def place_files(root: Path, names: Sequence[str]) -> tuple[dict[str, Place], dict[str, str]]:
    """Returns split and class of each file, and the reason for each file that has no class beside others that do.

    Args:
      root: the folder.
      names: paths of its image files, relative to `root`.

    Raises:
      ValueError: see `find_split_folders`.
    """
    splits = find_split_folders(root, names)
    places = {}
    for name in names:
        top, _, rest = name.partition("/")
        inside = rest if splits and rest else name
        folder, slash, _ = inside.partition("/")
        places[name] = Place(splits.get(top) if rest else None, folder if slash else "")
    bad = {}
    if splits:
        bad = {name: "beside the subfolders, which are the splits" for name in names if places[name].split is None}
    if any(place.class_name for place in places.values()):
        which = "beside the subfolders, which are the classes"
        bad = {name: which for name in names if not places[name].class_name} | bad
    return {name: place for name, place in places.items() if name not in bad}, bad
