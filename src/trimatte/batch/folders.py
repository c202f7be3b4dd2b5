"""The pictures of a folder on this machine, or in a store."""

from __future__ import annotations

from trimatte.batch.jobs import is_picture, list_folder
from trimatte.batch.plan import relative
from trimatte.files import store
from trimatte.files.addresses import is_remote, join


def pictures(folder: str, out: str) -> tuple[list[str], dict[str, str], list[str]]:
    """What a folder holds, without hidden files and the folder `out`.

    Returns
    -------
    names : of all pictures in order, inside the folder, with forward slashes.
    unreadable : folders that cannot be searched, and why.
    links : linked folders, which are not gone into.
    """
    if is_remote(folder):
        inner = f"{relative(out, folder)}/" if is_remote(out) and out.startswith(join(folder, "")) else None
        return sorted(n for n in store.found(folder) if _is_shown(n) and not (inner and n.startswith(inner))), {}, []
    listing = list_folder(folder, out)
    unreadable = {relative(path, folder): why for path, why in listing.unreadable.items()}
    return sorted(relative(path, folder) for path in listing.pictures), unreadable, listing.links


def _is_shown(name: str) -> bool:
    folders, _, file = name.rpartition("/")
    return is_picture(file) and not any(part.startswith(".") for part in folders.split("/"))
