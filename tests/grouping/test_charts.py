"""The distribution of group sizes."""

import pytest

from ccip_plugin.grouping.charts import size_chart


@pytest.mark.parametrize(
    "sizes, columns",
    [
        pytest.param({2: 3, 3: 1}, [("2", 3), ("3", 1)], id="small groups have columns of their own"),
        pytest.param({1: 2}, [("1", 2)], id="groups of one image"),
        pytest.param({5: 1, 9: 2, 10: 4}, [("5 to 9", 3), ("10 to 19", 4)], id="larger ones share a column"),
        pytest.param({1000: 1, 40_000: 1}, [("1000 or more", 2)], id="the largest"),
        pytest.param({20: 1, 2: 1}, [("2", 1), ("20 to 49", 1)], id="in the order of size"),
        pytest.param({}, [], id="no groups"),
    ],
)
def test_columns(sizes, columns):
    chart = size_chart(sizes)
    assert list(chart.columns) == columns
    assert chart.title == "Group size distribution"
