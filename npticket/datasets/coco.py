"""Boxes around objects in images, from COCO's JSON."""

from collections import defaultdict
from pathlib import Path

from npticket.datasets.annotations import Annotated, annotated, checked_box, checked_name, checked_side
from npticket.datasets.dataset import DataError
from npticket.reading import Json, UnreadableError, parsed_json, read_text, reason, shown

MOST = 1 << 29  # bytes of a file, which is about a whole data set


def read_coco(path: str | Path) -> tuple[list[Annotated], list[str]]:
    """Return the objects of each image in a file of COCO's JSON, and the names of all classes, in the order of ids.

    Images are in the order of the file, including those without objects. Segmentation masks are ignored. DataError if
    the file cannot be read or is of another kind.
    """
    try:
        content = parsed_json(read_text(path, MOST))
        names = {number: _string(each, "name") for number, each in _by_id(content, "categories").items()}
        objects, crowds = defaultdict[int, list](list), defaultdict[int, int](int)
        for each in _list(content, "annotations"):
            image, name = _whole(each, "image_id"), names[_whole(each, "category_id")]
            if _crowd(each):
                crowds[image] += 1
            else:
                x, y, w, h = checked_box(each.get("bbox"))
                objects[image].append((name, (x, y, x + w, y + h)))
        found = []
        for image, each in _by_id(content, "images").items():
            size = checked_side(each.get("width")), checked_side(each.get("height"))
            file = checked_name(_string(each, "file_name"))
            found.append(annotated(file, size, objects.pop(image, []), crowds.pop(image, 0)))
        if unknown := [*objects, *crowds]:
            raise ValueError(f"there are objects in image {unknown[0]}, which is not there")
        return found, [names[i] for i in sorted(names)]
    except (OSError, UnreadableError) as error:
        raise DataError(reason(error)) from error
    except KeyError as error:
        raise DataError(f"{path} has objects of category {error}, which is not there") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{path} is not COCO's JSON: {error or type(error).__name__}") from error


def _list(content: Json, name: str) -> list[Json]:
    found = content.get(name) if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(f"expected an object with a list of objects called {name}")
    return found


def _by_id(content: Json, name: str) -> dict[int, Json]:
    """The objects of a list by id, in its order; ValueError for an id that is there twice."""
    found = dict[int, Json]()
    for each in _list(content, name):
        if (number := _whole(each, "id")) in found:
            raise ValueError(f"there are two {name} with the id {number}")
        found[number] = each
    return found


def _whole(each: Json, name: str) -> int:
    if type(value := each.get(name)) is not int:  # of which true and false are a kind
        raise ValueError(f"{name} must be an integer, got {shown(value)}")
    return value


def _crowd(each: Json) -> bool:
    if (value := each.get("iscrowd")) not in (None, 0, 1):
        raise ValueError(f"iscrowd must be 0 or 1, got {shown(value)}")
    return bool(value)


def _string(each: Json, name: str) -> str:
    if not isinstance(value := each.get(name), str):
        raise ValueError(f"{name} must be a text, got {shown(value)}")
    return value
