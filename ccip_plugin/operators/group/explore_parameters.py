"""Operator: the groups of DBSCAN for each eps, as a plot."""

from fiftyone.operators import types

from ...app import route
from ...app.ask.embeddings import ask_embeddings
from ...app.ask.models import MODEL_FOLDER
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...evaluation.exploration import Exploration, explore_parameters


class ExploreParameters(CCIPOperator):
    """Plots groups against eps; see :func:`~ccip_plugin.evaluation.exploration.explore_parameters`. Writes nothing."""

    name, label, button = "explore_parameters", "CCIP: explore eps", "Explore"
    description = "See how many character groups DBSCAN finds for each eps, before anything is grouped"
    risk = types.RiskLevel.LOW
    failure = "CCIP could not compare the images"
    function = staticmethod(explore_parameters)
    asks = route.asked(patches_field=route.text, embeddings_field=route.text, **MODEL_FOLDER)
    parameters = ("embeddings_field", "group_field", "max_eps", "graph", "model_dir")
    is_delegable = True

    def ask(self, form: Form) -> None:
        if form.ask_target("Compare") is not None and ask_embeddings(form, without="will be left out") is not None:
            form.hint(
                "cost",
                "The first time, all pairs of images are compared. The result is cached on this machine, so that this "
                "and a grouping with another eps then take seconds.",
            )

    def show(self, report: Exploration, out: Output) -> None:
        out.chart(report.chart())
        out.facts(report.facts(), "CCIP: groups of DBSCAN by eps")
