"""What the reference says that mkdocstrings cannot read by itself: an extension of griffe, loaded by mkdocs.yml.

- A field's description is its docstring, and its default its value: not the call of `Field` that has both.
- The fields of a gateway that hold its calls (`gw.orders`) say of which class they are.
"""

from __future__ import annotations

from typing import Any

import griffe

__all__ = ["Fields"]


class Fields(griffe.Extension):
    """Runs for every attribute that griffe finds."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **kwargs: Any) -> None:
        call = attr.value
        if not isinstance(call, griffe.ExprCall):
            return
        if str(call.function) == "Field":
            given = {each.name: each.value for each in call.arguments if isinstance(each, griffe.ExprKeyword)}
            if attr.docstring is None and "description" in given:
                attr.docstring = griffe.Docstring(_text(given["description"]), parent=attr)
            factory = given.get("default_factory")
            attr.value = f"{factory}()" if factory is not None else given.get("default")
        elif [str(each) for each in call.arguments] == ["self"] and str(call.function)[:1].isupper():
            # `self.orders = Orders(self)`: the class is on the same page, with its first line.
            attr.annotation = call.function
            attr.value = None

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """The fields that hold calls say what the class says first; all classes are known by now."""
        for module in ("api", "aio"):
            if module in pkg.members:
                _name_calls(pkg[module])


def _name_calls(module: Any) -> None:
    for kind in module.classes.values():
        for attr in kind.attributes.values():
            held = module.members.get(str(attr.annotation))
            if attr.docstring is None and isinstance(held, griffe.Class) and held.docstring is not None:
                first = held.docstring.value.partition("\n\n")[0]
                attr.docstring = griffe.Docstring(f"{first} See [{held.name}][{held.path}].", parent=attr)


def _text(value: Any) -> str:
    """A literal text, and several that stand behind each other, as griffe has them: in quotes."""
    import ast

    return str(ast.literal_eval(str(value)))
