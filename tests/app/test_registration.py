"""What FiftyOne finds in the plugin."""

import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def plugin(mongo):
    """The plugin as FiftyOne loads it."""
    from fiftyone.operators.registry import OperatorRegistry

    registry = OperatorRegistry(enabled=True)
    assert registry.list_errors() == []
    (found,) = [context for context in registry.plugin_contexts if context.name == "@ccip/characters"]
    return found


class Names:
    """Takes what a plugin registers, listed or not; FiftyOne drops what is not listed without a word."""

    def __init__(self) -> None:
        self.operators: list[str] = []
        self.panels: list[str] = []

    def register(self, cls: type) -> None:
        from fiftyone.operators.panel import Panel

        (self.panels if issubclass(cls, Panel) else self.operators).append(cls().name)


@pytest.mark.mongo
@pytest.mark.parametrize("kind", ["operators", "panels"])
def test_what_is_listed_is_what_is_registered(plugin, kind):
    listed = yaml.safe_load((ROOT / "fiftyone.yml").read_text(encoding="utf-8")).get(kind, [])
    registered = Names()
    sys.modules["fiftyone.plugins.orgs.ccip.characters"].register(registered)
    assert sorted(listed) == sorted(getattr(registered, kind))
    assert set(listed) <= {each.name for each in plugin.instances}


@pytest.mark.mongo
def test_operators_introduce_themselves(plugin):
    from fiftyone.operators.panel import Panel

    for config in (each.config for each in plugin.instances if not isinstance(each, Panel)):
        assert config.label.startswith("CCIP: "), config.name
        assert config.description, config.name


@pytest.mark.mongo
def test_plugin_and_package_have_one_version(plugin):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert plugin.plugin_definition.version == project["version"]


@pytest.mark.mongo
def test_each_declares_its_risk(plugin):
    from fiftyone.operators.panel import Panel

    risks = {each.name: each.config.to_json()["risk_level"] for each in plugin.instances if not isinstance(each, Panel)}
    assert "dangerous" not in risks.values(), "what FiftyOne takes where nothing is said"
    high = {name for name, risk in risks.items() if risk == "high"}
    assert high == {"delete_grouping", "manage_models", "remove_ccip"}


@pytest.mark.mongo
def test_the_skill_names_operators_that_are_there(plugin):
    from fiftyone.plugins import list_skills

    (skill,) = list_skills(plugin="@ccip/characters")
    assert skill.name == "anime-characters" and skill.description
    there = {each.name for each in plugin.instances}
    table = [line.split("|")[2] for line in skill.content.splitlines() if line.startswith("| ")][1:]
    named = {word.partition("(")[0] for cell in table for word in cell.split("`")[1::2] if "." not in word}
    assert named and named <= there, f"not there: {named - there}"
