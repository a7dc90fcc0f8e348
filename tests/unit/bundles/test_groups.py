from hypothesis import given
from hypothesis import strategies as st

from modelops.bundles.archive import archived_size
from modelops.bundles.groups import LEAST_BYTES, MOST_BYTES, grouped
from modelops.bundles.tree import BundleFile


def file_of(name, size):
    return BundleFile(name, f"/nowhere/{name}", size, 0o644, ())


def files_of(sizes):
    return [file_of(f"data/{index:05}.csv", size) for index, size in enumerate(sizes)]


def size_of(group):
    return sum(archived_size(file) for file in group)


sizes = st.lists(st.integers(0, 2**20), max_size=60)


@given(sizes=sizes)
def test_every_file_is_in_one_group_in_order(sizes):
    files = files_of(sizes)
    groups = list(grouped(files))
    assert [file for group in groups for file in group] == files
    assert all(groups)
    assert all(size_of(group) >= LEAST_BYTES for group in groups[:-1])
    assert all(size_of(group[:-1]) < MOST_BYTES for group in groups)


def test_ten_thousand_small_files_are_few_groups():
    groups = list(grouped(files_of([1000] * 10_000)))
    assert 10 <= len(groups) <= 20


def names(groups):
    return {tuple((file.name, file.size) for file in group) for group in groups}


def test_a_change_moves_the_ends_near_it_only():
    before = [*files_of([3000] * 4000)]
    changed = {
        "new": [*before[:500], file_of("data/00499a.csv", 3000), *before[500:]],
        "gone": [*before[:500], *before[501:]],
        "longer": [*before[:500], file_of(before[500].name, 200_000), *before[501:]],
    }
    groups = names(grouped(before))
    for files in changed.values():
        assert len(names(grouped(files)) - groups) <= 4


def test_groups_are_what_they_always_were():
    # Found once. Other groups would be other digests of the same bundle.
    groups = grouped(files_of([1000] * 1000 + [400_000] * 10))
    assert [len(group) for group in groups] == [492, 509, 3, 2, 2, 2]
