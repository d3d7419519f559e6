"""Names for characters, in the scripts that people really use."""

import numpy as np

_JAPANESE_FAMILY = (
    "桜井",
    "水瀬",
    "藤宮",
    "白鳥",
    "夏目",
    "月島",
    "星野",
    "神楽",
    "雪村",
    "朝霧",
    "緑川",
    "黒羽",
    "音無",
    "花園",
)
_JAPANESE_GIVEN = (
    "ひなた",
    "あおい",
    "紗夜",
    "千歳",
    "小春",
    "みつき",
    "凛",
    "結衣",
    "楓",
    "しおり",
    "朔",
    "悠真",
    "湊",
    "蓮",
)
_KATAKANA = (
    "ルミナ",
    "セレスト",
    "ノエル",
    "アイリス",
    "フィオナ",
    "クロエ",
    "ミレイユ",
    "リゼット",
    "ヴァルト",
    "オリヴァ",
)
_LATIN_GIVEN = (
    "Mira",
    "Élodie",
    "Tove",
    "Ines",
    "Kaito",
    "Noor",
    "Saga",
    "Juno",
    "Rin",
    "Leif",
    "Zoë",
    "Aster",
    "Yuna",
    "Marek",
)
_LATIN_FAMILY = (
    "Vance",
    "Okabe",
    "Lindqvist",
    "Amari",
    "Solis",
    "Brandt",
    "Hoshino",
    "Ferreira",
    "Quill",
    "Nakano",
    "Øst",
    "Hale",
)


def name_of(seed: int, number: int) -> str:
    """The name of the ``number``-th character of the world ``seed``: no two in a world share one."""
    random = np.random.default_rng([seed, 77])
    pools = [
        _shuffled(random, [f"{a}{b}" for a in _JAPANESE_FAMILY for b in _JAPANESE_GIVEN]),
        _shuffled(random, [f"{a} {b}" for a in _LATIN_GIVEN for b in _LATIN_FAMILY]),
        _shuffled(random, [f"{a}・{b}" for a in _KATAKANA for b in _KATAKANA if a != b]),
    ]
    pool, place = pools[number % 3], number // 3
    again = place // len(pool)
    return pool[place % len(pool)] + (f" {again + 1}" if again else "")


def _shuffled(random: np.random.Generator, names: list[str]) -> list[str]:
    return [names[int(i)] for i in random.permutation(len(names))]
