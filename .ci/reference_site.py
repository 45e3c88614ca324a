"""What the reference says that mkdocstrings cannot read by itself: an extension of griffe, loaded by mkdocs.yml.

- A field's description is its docstring, and its default its value: not the call of `Field` that has both.
- A field's type is shown without the private functions that check it.
- The fields of a gateway that hold its calls (`gw.orders`) say of which class they are.
"""

from __future__ import annotations

import ast
from typing import Any

import griffe

__all__ = ["Fields"]


class Fields(griffe.Extension):
    """Runs for every attribute that griffe finds."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        call = attr.value
        if isinstance(call, griffe.ExprCall):
            if str(call.function) == "Field":
                given = _take_description(attr, call)
                factory = given.get("default_factory")
                attr.value = f"{factory}()" if factory is not None else given.get("default")
            elif [str(each) for each in call.arguments] == ["self"] and str(call.function)[:1].isupper():
                # `self.orders = Orders(self)`: the signature then links to the class.
                attr.annotation = call.function
                attr.value = None
        if isinstance(attr.annotation, griffe.Expr):
            attr.annotation = _unchecked(attr, attr.annotation)

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """The fields that hold calls say what their class says first; all classes are known by now."""
        for module in ("api", "aio"):
            if module in pkg.members:
                _tell_calls(pkg[module])


def _tell_calls(module: griffe.Module) -> None:
    for kind in module.classes.values():
        for attr in kind.attributes.values():
            held = module.members.get(str(attr.annotation))
            if attr.docstring is None and isinstance(held, griffe.Class) and held.docstring is not None:
                attr.docstring = griffe.Docstring(held.docstring.value.partition("\n\n")[0], parent=attr)


def _take_description(attr: griffe.Attribute, call: griffe.ExprCall) -> dict[str, Any]:
    """The keyword arguments of this `Field`; its description becomes the docstring, where there is none."""
    given = {each.name: each.value for each in call.arguments if isinstance(each, griffe.ExprKeyword)}
    if "description" in given and attr.docstring is None:
        attr.docstring = griffe.Docstring(str(ast.literal_eval(str(given["description"]))), parent=attr)
    return given


def _unchecked(attr: griffe.Attribute, hint: Any) -> Any:
    """The type without its validators: of `Annotated[int, AfterValidator(_even), Field(ge=1)]` the bounds stay."""
    if isinstance(hint, griffe.ExprBinOp):
        hint.left, hint.right = _unchecked(attr, hint.left), _unchecked(attr, hint.right)
    if not isinstance(hint, griffe.ExprSubscript) or str(hint.left) != "Annotated":
        return hint
    assert isinstance(hint.slice, griffe.ExprTuple)
    kind, *notes = hint.slice.elements
    kept: list[Any] = []
    for note in notes:
        if not isinstance(note, griffe.ExprCall):
            kept.append(note)
        elif str(note.function) == "Field":
            _take_description(attr, note)
            told = [each for each in note.arguments if getattr(each, "name", None) != "description"]
            if told:
                kept.append(griffe.ExprCall(note.function, told))
        elif not str(note.function).endswith("Validator"):
            kept.append(note)
    if not kept:
        return kind
    hint.slice.elements = [kind, *kept]
    return hint
