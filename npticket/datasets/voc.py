"""Boxes around objects in images, from Pascal VOC's XML; DTDs and entities, which could do harm, are refused."""

from pathlib import Path
from xml.etree import ElementTree

from npticket.datasets.annotations import Annotated, annotated, checked_box, checked_name, checked_side
from npticket.datasets.dataset import DataError
from npticket.reading import UnreadableError, read_bytes, reason

MOST = 1 << 20  # bytes of a file, which is about one image


def read_voc(path: str | Path) -> Annotated:
    """Return the objects in one image from a file of Pascal VOC's XML, or raise DataError, which names the file.

    A box's width is xmax - xmin, as labelImg writes them. A DTD is refused, and with it all entities defined in it.
    """
    try:
        root = ElementTree.XML(read_bytes(path, MOST), ElementTree.XMLParser(target=_Tree()))
        if root.tag != "annotation":
            raise ValueError(f"expected <annotation>, got <{root.tag}>")
        width, height = (checked_side(int(_text(_one(_one(root, "size"), side)))) for side in ("width", "height"))
        objects = [(_text(_one(each, "name")), _corners(_one(each, "bndbox"))) for each in root.findall("object")]
        return annotated(checked_name(_text(_one(root, "filename"))), (width, height), objects)
    except (OSError, UnreadableError) as error:
        raise DataError(reason(error)) from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path} is no annotation in Pascal VOC's XML: {error}") from error


class _Tree(ElementTree.TreeBuilder):
    """Builds elements; a DTD is refused where it begins, before any entity in it is defined."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("it has a DTD, which is never read: delete the line with <!DOCTYPE")


def _one(element: ElementTree.Element, name: str) -> ElementTree.Element:
    if len(found := element.findall(name)) != 1:
        raise ValueError(f"expected one <{name}>, got {len(found)}")
    return found[0]


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").strip()


def _corners(box: ElementTree.Element) -> list[float]:
    return checked_box([float(_text(_one(box, side))) for side in ("xmin", "ymin", "xmax", "ymax")])
