"""Prototypes, limits and matches of groups with known characters."""

import numpy as np
import pytest

from ccip_plugin.core.differences import differences, normalize
from ccip_plugin.core.errors import ParameterError, VectorsError
from ccip_plugin.core.library.matching import NONE, Gallery, image_differences, match_groups
from ccip_plugin.core.library.prototypes import choose_negatives, choose_prototypes, own_limit
from ccip_plugin.core.library.records import Character, Library, Origin
from ccip_plugin.core.references import References

THRESHOLD, DIM = 0.2, 64


def around(center, n, spread, seed):
    noise = np.random.default_rng(seed).normal(size=(n, DIM)) * spread / np.sqrt(DIM)
    return normalize(center + noise).astype(np.float32)


def centers(n, seed=0):
    return normalize(np.random.default_rng(seed).normal(size=(n, DIM)))


@pytest.fixture
def cast():
    """Eight characters of ten images."""
    return [around(center, 10, 0.5, seed) for seed, center in enumerate(centers(8))]


@pytest.fixture
def gallery(cast):
    return Gallery.of_references(References.of({f"c{n}": images[:4] for n, images in enumerate(cast[:5])}))


def test_groups_get_their_names_and_strangers_none(cast, gallery):
    matches = match_groups([images[4:] for images in cast], gallery, threshold=THRESHOLD)
    assert matches.character.tolist() == [0, 1, 2, 3, 4, NONE, NONE, NONE]
    assert (matches.score[:5] > 0.5).all() and (matches.score[5:] <= 0.5).all()
    assert (matches.second != matches.nearest).all() and (matches.margin[:5] > 0.1).all()
    assert matches.agreeing[:5].tolist() == [1.0] * 5


def test_single_images(cast, gallery):
    matches = match_groups(list(cast[1]), gallery, threshold=THRESHOLD)
    assert matches.character.tolist() == [1] * 10


def test_differences_are_means_over_the_nearest_half(cast, gallery):
    members = cast[0][4:7]
    slow = [
        [
            np.sort(differences(member[None], part)[0].astype(float))[: int(np.ceil(len(part) / 2))].mean()
            for part in parts
        ]
        for member in members
        for parts in [np.split(gallery.vectors, np.cumsum(gallery.counts)[:-1])]
    ]
    np.testing.assert_allclose(image_differences(members, gallery), slow, atol=1e-6)


def test_two_names_for_one_character_are_unknown(cast):
    twins = Gallery.of_references(References.of({"a": cast[0][:4], "b": cast[0][4:8]}))
    matches = match_groups([cast[0]], twins, threshold=THRESHOLD)
    assert matches.character.tolist() == [NONE] and matches.score[0] <= 0.5
    assert match_groups([cast[0]], twins, threshold=THRESHOLD, min_margin=0).character[0] != NONE


def test_one_character_only(cast):
    gallery = Gallery.of_references(References.of({"a": cast[0][:4]}))
    matches = match_groups([cast[0], cast[1]], gallery, threshold=THRESHOLD)
    assert matches.character.tolist() == [0, NONE] and np.isinf(matches.margin).all()
    assert matches.second.tolist() == [NONE, NONE]


def test_no_groups_and_empty_groups(gallery):
    assert len(match_groups([], gallery, threshold=THRESHOLD).score) == 0
    with pytest.raises(VectorsError):
        match_groups([np.empty((0, DIM), np.float32)], gallery, threshold=THRESHOLD)


@pytest.mark.parametrize("options", [{"threshold": 0}, {"threshold": 2}, {"threshold": 0.2, "min_margin": -1}])
def test_invalid_parameters(gallery, options):
    with pytest.raises(ParameterError):
        match_groups([], gallery, **options)


def test_rejected_images_keep_a_group_from_a_name(cast):
    other = around(normalize(cast[0].mean(axis=0) + 0.25 * cast[1].mean(axis=0)), 6, 0.2, 50)

    def library(negatives):
        return Library(
            Origin("m"), (Character.of("a", cast[0][:4], negatives=negatives), Character.of("z", cast[2][:2]))
        )

    named = match_groups([other, cast[0][4:]], Gallery.of_library(library(None)), threshold=THRESHOLD)
    assert named.character.tolist() == [0, 0]
    kept = match_groups([other, cast[0][4:]], Gallery.of_library(library(other[:3])), threshold=THRESHOLD)
    assert kept.character.tolist() == [NONE, 0]


def test_a_limit_of_its_own(cast):
    def match(limit):
        library = Library(Origin("m"), (Character.of("a", cast[0][:4], limit=limit), Character.of("z", cast[2][:2])))
        return match_groups([cast[0][4:]], Gallery.of_library(library), threshold=THRESHOLD).character.tolist()

    assert (match(None), match(0.01)) == ([0], [NONE])


def test_a_library_cannot_widen_the_threshold(cast):
    """A stranger's library could claim everything."""
    library = Library(Origin("m"), (Character.of("claims all", cast[0][:4], limit=1.0),))
    assert match_groups([cast[2][:3]], Gallery.of_library(library), threshold=THRESHOLD).character.tolist() == [NONE]


def test_joined_galleries_keep_the_first_of_a_name(cast, gallery):
    other = Gallery.of_library(
        Library(Origin("m"), (Character.of("c0", cast[5]), Character.of("c6", cast[6], negatives=cast[7][:2])))
    )
    both = gallery.joined(other)
    assert both.names == ("c0", "c1", "c2", "c3", "c4", "c6")
    assert both.negative_of.tolist() == [5, 5]
    matches = match_groups([cast[0], cast[6], cast[5]], both, threshold=THRESHOLD)
    assert matches.character.tolist() == [0, 5, NONE]


def test_a_prototype_for_each_appearance():
    school, plug = centers(2, 5)
    images = np.concatenate([around(school, 12, 0.4, 1), around(plug, 5, 0.4, 2), around(-school, 1, 0.4, 3)])
    prototypes, counts = choose_prototypes(images, THRESHOLD)
    assert counts.tolist() == [12, 5, 1]
    assert differences(prototypes, np.stack([school, plug, -school])).argmin(axis=1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(np.linalg.norm(prototypes, axis=1), 1, atol=1e-6)


def test_few_prototypes_represent_all_images():
    images = centers(30, 3).astype(np.float32)
    prototypes, counts = choose_prototypes(images, THRESHOLD, most=4)
    assert len(prototypes) == 4 and counts.sum() == 30
    assert choose_prototypes(images[:1], THRESHOLD)[1].tolist() == [1]
    many = around(centers(1)[0], 2500, 0.4, 1)
    assert choose_prototypes(many, THRESHOLD)[1].sum() == pytest.approx(2500, abs=10)


def test_negatives_are_the_nearest(cast):
    prototypes = cast[0][:2]
    far, near = cast[1][:5], around(cast[0][0], 2, 0.8, 9)
    np.testing.assert_allclose(choose_negatives(np.concatenate([far, near]), prototypes, most=2), near, atol=1e-6)


def test_limits(cast):
    center = centers(1)[0]
    own, others = around(center, 20, 0.4, 1), around(normalize(center + 0.9 * centers(2)[1]), 40, 0.3, 2)
    prototypes, _ = choose_prototypes(own, THRESHOLD)
    confused = own_limit(own, others, prototypes, THRESHOLD)
    usual = own_limit(own, np.concatenate(cast)[10:], prototypes, THRESHOLD)
    assert 0.6 * THRESHOLD <= confused < usual < THRESHOLD
    assert own_limit(own, others[:5], prototypes, THRESHOLD) == usual, "few of others"
    assert own_limit(own, own.repeat(2, axis=0), prototypes, THRESHOLD) == usual, "they cannot be told apart"
    assert own_limit(own[:2], others, prototypes, THRESHOLD) is None
    same = own[:1].repeat(5, axis=0)
    assert own_limit(same, others[:5], same[:1], THRESHOLD) == pytest.approx(THRESHOLD, abs=1e-6), "a mean of one image"


def test_the_limit_is_of_means_where_the_threshold_is_of_images():
    own = around(centers(1)[0], 200, 0.8, 1)
    prototypes, _ = choose_prototypes(own, THRESHOLD, most=1)
    limit = own_limit(own, own[:0], prototypes, THRESHOLD)
    strangers = normalize(prototypes[0] + 1.2 * centers(400, 9))
    to_mean, to_images = differences(strangers, prototypes)[:, 0], differences(strangers, own).mean(axis=1)
    assert (to_mean < to_images).all()
    at = to_mean[np.abs(to_images - THRESHOLD).argmin()]
    assert limit == pytest.approx((THRESHOLD + at) / 2, abs=0.01)
