"""Boxes around objects in images, from Pascal VOC's XML; DTDs and entities, which could do harm, are refused."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from npticket.datasets.annotations import Annotated, annotated, checked_box, checked_name, checked_side
from npticket.datasets.dataset import DataError
from npticket.reading import UnreadableError, read_bytes, reason

MOST = 1 << 20  # bytes of a file, which is about one image
DEEPEST = 20  # levels of elements


def read_voc(path: str | Path) -> Annotated:
    """Return the objects in one image from a file of Pascal VOC's XML, or raise DataError, which names the file.

    A box's width is xmax - xmin, as labelImg writes them. A DTD is refused, and with it all entities defined in it.
    """
    try:
        root = _xml(read_bytes(path, MOST))
        width, height = (checked_side(int(_text(_one(_one(root, "size"), side)))) for side in ("width", "height"))
        objects = [(_text(_one(each, "name")), _corners(_one(each, "bndbox"))) for each in root.children["object"]]
        return annotated(checked_name(_text(_one(root, "filename"))), (width, height), objects)
    except (OSError, UnreadableError) as error:
        raise DataError(reason(error)) from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise DataError(f"{path} is no annotation in Pascal VOC's XML: {error}") from error


@dataclass
class Element:
    """An element of XML: those in it by name, and the text in it."""

    children: dict[str, list["Element"]] = field(default_factory=lambda: defaultdict(list))
    text: str = ""


def _xml(content: bytes) -> Element:
    """The root element of an XML file; a DTD is refused where it begins."""
    parser, inside = expat.ParserCreate(), [Element()]

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if len(inside) > DEEPEST:
            raise ValueError(f"it is more than {DEEPEST} levels deep")
        inside[-1].children[name].append(element := Element())
        inside.append(element)

    def write(text: str) -> None:
        inside[-1].text += text

    def refuse(*declared: object) -> None:
        raise ValueError("it has a DTD, which is never read: delete the line with <!DOCTYPE")

    parser.StartElementHandler, parser.EndElementHandler = start, lambda name: inside.pop()
    parser.CharacterDataHandler = write
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    parser.Parse(content, True)
    return _one(inside[0], "annotation")


def _one(element: Element, name: str) -> Element:
    if len(found := element.children[name]) != 1:
        raise ValueError(f"expected one <{name}>, got {len(found)}")
    return found[0]


def _text(element: Element) -> str:
    return element.text.strip()


def _corners(box: Element) -> list[float]:
    return checked_box([float(_text(_one(box, side))) for side in ("xmin", "ymin", "xmax", "ymax")])
