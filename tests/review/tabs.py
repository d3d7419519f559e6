"""Tabs of a browser with the panel open, and what labels say."""

import importlib
from types import ModuleType


def loaded(name: str) -> ModuleType:
    """A module of the plugin as FiftyOne has loaded it: the operators do not know the one that tests import.

    Args:
        name: its name in our package, such as ``review.board``
    """
    import fiftyone.operators as foo  # not while tests are collected

    from tests.support.app.operator_tools import uri

    package = type(foo.get_operator(uri("review"))).__module__.partition(".operators.")[0]
    return importlib.import_module(f"{package}.{name}")


def restart() -> None:
    """Forgets all boards, as a server that was started again."""
    loaded("review.board").BOARDS.clear()


class Tab:
    """A tab of a browser with the panel open."""

    def __init__(self, call, data, tab, **common):
        self.call, self.data, self.common = call, data, {"tab": tab, "by": f"person {tab}", **common}
        self.token = self.read("open")["token"]

    def read(self, method, **args):
        return self.call(self.data, method, **self.common, **args)

    def write(self, method, **args):
        return self.call(self.data, method, token=self.token, **self.common, **args)

    def ask(self, n=8, **args):
        return self.read("questions", n=n, **args)["questions"]

    def answer(self, question, said, marked=(), **more):
        shown = {"question": question["id"], "kind": question["kind"], "shown": question["shown"]}
        return self.write("answer", **shown, said=said, marked=list(marked), **more)


def state(data):
    """What the labels say, for equality after undo."""
    data.reload()
    return [sample["character_group"].to_dict() for sample in data]
