"""Direct solution over a grid of nodes with four unknowns each, by nested dissection.

The nodes are split by lines of nodes, the separators, again and again (George, SIAM J. Numer. Anal. 1973), each time
where the band is thin. Eliminating leaves first and separators last keeps the fill small and dense: every part
becomes one dense front (Duff and Reid, ACM Trans. Math. Softw. 1983), and fronts of one depth are independent.
The factor is computed in float64 and kept in float32, since it serves as a preconditioner.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from trimatte.runtime.jit import njit, prange, side_by_side

LEAF = 16
"""Nodes that a part may have without being split."""
PANEL = 32
"""Columns eliminated at once in a front."""
SUBTREES = 16
"""Parts of the tree that are worked on side by side; fixed, so that results do not depend on the number of threads."""
LEAST_PIVOT = 1e-6
"""An unknown whose pivot falls below this share of its diagonal entry is left at zero: the matrix does not hold it."""
DROPPED = 1e18
"""Stands for the pivot of an unknown that is left at zero."""


@dataclass(frozen=True)
class Tree:
    """Fronts in postorder, children before parents, and the elimination order of the nodes.

    Attributes
    ----------
    order : (m,) int64; node at each place of the elimination order.
    place : (m,) int64; its inverse.
    start, end : (f,) int64; each front's own places.
    border_start : (f + 1,) int64; where each front's border begins in `border`.
    border : int64; sorted places of later nodes that the front's elimination ties together.
    into : int64; for each border entry, its place within the parent's front.
    children_start, children : CSR lists of each front's children.
    subtrees : (s, 2) int64; first and last front of each subtree, a run of the postorder.
    top : int64; the fronts above them.
    panel_start : (f + 1,) int64; where each front's columns begin in the factor.
    """

    order: np.ndarray
    place: np.ndarray
    start: np.ndarray
    end: np.ndarray
    border_start: np.ndarray
    border: np.ndarray
    into: np.ndarray
    children_start: np.ndarray
    children: np.ndarray
    subtrees: np.ndarray
    top: np.ndarray
    panel_start: np.ndarray


@dataclass(frozen=True)
class Factor:
    """Cholesky factor of a block matrix over a node grid."""

    tree: Tree
    panels: np.ndarray

    def solve(self, values: np.ndarray) -> None:
        """Overwrite values (m, 4) float64 with the solution for them, to float32 precision."""
        t = self.tree
        x = values[t.order].reshape(-1).astype(np.float32)
        carry = np.empty(4 * len(t.border), np.float32)
        _solve(
            t.start, t.end, t.border_start, t.border, t.into, t.children_start, t.children, t.subtrees, t.top,
            t.panel_start, self.panels, x, carry,
        )  # fmt: skip
        values[t.order] = x.reshape(-1, 4)


def factorise(grid: np.ndarray, blocks: np.ndarray) -> Factor:
    """Factor the symmetric positive definite matrix of `blocks`.

    Parameters
    ----------
    grid : (rows, columns) int32; number of each node or -1.
    blocks : (m, 5, 4, 4) float64; each node's blocks with itself and its neighbours to the right, lower left, below
        and lower right.
    """
    t = dissect(grid, len(blocks))
    ny, nx = _node_places(grid, len(blocks))
    panels = np.empty(int(t.panel_start[-1]), np.float32)
    at, stacks, kept = _schur_places(t)
    schur = np.empty(kept, np.float32)
    both = (
        grid, ny, nx, blocks, t.order, t.place, t.start, t.end, t.border_start, t.border, t.into, t.children_start,
        t.children, t.panel_start, panels, at, schur,
    )  # fmt: skip
    side_by_side(_factor_subtrees, len(t.subtrees), t.subtrees, stacks, *both)
    for f in t.top:
        _factor_front(f, *both)
    return Factor(t, panels)


def dissect(grid: np.ndarray, count: int) -> Tree:
    """Order the nodes by nested dissection and lay out the fronts."""
    ny, nx = _node_places(grid, count)
    order = np.arange(count)
    start, end, parent = _split(ny, nx, order, LEAF)
    rank = np.argsort(start, kind="stable")
    number = np.empty(len(rank) + 1, np.int64)
    number[rank], number[-1] = np.arange(len(rank)), -1
    start, end, parent = start[rank], end[rank], number[parent[rank]]
    place = np.empty(count, np.int64)
    place[order] = np.arange(count)
    children_start, children = _children(parent)
    border_start, border = _borders(grid, ny, nx, order, place, start, end, children_start, children)
    into = _into_parent(start, end, parent, border_start, border)
    own = 4 * (end - start)
    panel_start = np.concatenate([[0], np.cumsum(own * (own + 4 * np.diff(border_start)))])
    subtrees, top = _subtrees(np.diff(panel_start), parent, children_start, children)
    return Tree(
        order, place, start, end, border_start, border, into, children_start, children, subtrees, top, panel_start
    )


def _children(parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CSR lists of each front's children, in postorder."""
    with_parent = np.flatnonzero(parent >= 0)
    children = with_parent[np.argsort(parent[with_parent], kind="stable")]
    counts = np.bincount(parent[with_parent], minlength=len(parent))
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), children


def _subtrees(
    weight: np.ndarray, parent: np.ndarray, children_start: np.ndarray, children: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Split the heaviest subtree at its root until there are enough: (first, last) front of each, and the roots."""
    first, total = np.arange(len(parent)), weight.astype(np.float64)
    for f, above in enumerate(parent):
        if above >= 0:
            first[above] = min(first[above], first[f])
            total[above] += total[f]
    heap = [(-float(total[f]), int(f)) for f in np.flatnonzero(parent < 0)]
    heapq.heapify(heap)
    top = []
    while heap and len(heap) < SUBTREES and children_start[heap[0][1]] < children_start[heap[0][1] + 1]:
        _, f = heapq.heappop(heap)
        top.append(f)
        for child in children[children_start[f] : children_start[f + 1]]:
            heapq.heappush(heap, (-float(total[child]), int(child)))
    pairs = np.array([(first[f], f) for f in _dealt([f for _, f in sorted(heap)])], np.int64).reshape(-1, 2)
    return pairs, np.array(sorted(top), np.int64)


def _dealt(heaviest_first: list[int]) -> list[int]:
    """The same subtrees in an order whose halves, quarters and so on weigh much the same: threads take runs of it."""
    if len(heaviest_first) < 3:
        return heaviest_first
    one = [f for i, f in enumerate(heaviest_first) if i % 4 in (0, 3)]
    other = [f for i, f in enumerate(heaviest_first) if i % 4 in (1, 2)]
    return _dealt(one) + _dealt(other)


def _schur_places(tree: Tree) -> tuple[np.ndarray, np.ndarray, int]:
    """Where each front leaves what its elimination makes of its border.

    Within a subtree it goes on a stack, over the children's, which are used up by then; the fronts of the top and
    the roots of the subtrees keep theirs. Returns the offsets, the height of each subtree's stack and the length of
    what is kept.
    """
    size = (4 * np.diff(tree.border_start)) ** 2
    at = np.zeros(len(size), np.int64)
    stacks = np.zeros(len(tree.subtrees), np.int64)
    kept = 0
    for s, (low, high) in enumerate(tree.subtrees):
        stacks[s] = _stack(low, high, size, tree.children_start, tree.children, at)
    for f in [*tree.subtrees[:, 1], *tree.top]:
        at[f], kept = kept, kept + int(size[f])
    return at, stacks, kept


@njit()
def _stack(
    low: int, high: int, size: np.ndarray, children_start: np.ndarray, children: np.ndarray, at: np.ndarray
) -> int:
    pointer, highest = 0, 0
    for f in range(low, high):
        if children_start[f] < children_start[f + 1]:
            pointer = at[children[children_start[f]]]
        at[f] = pointer
        pointer += size[f]
        highest = max(highest, pointer)
    return highest


def _node_places(grid: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each node."""
    rows, columns = np.nonzero(grid >= 0)
    ny, nx = np.empty(count, np.int64), np.empty(count, np.int64)
    numbers = grid[rows, columns]
    ny[numbers], nx[numbers] = rows, columns
    return ny, nx


@njit()
def _split(ny: np.ndarray, nx: np.ndarray, order: np.ndarray, leaf: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # parts still to be split lie on a stack as (low, high, parent front); `order` is permuted in place so that
    # each part reads: one side, the other side, the separator
    count = len(order)
    start, end = np.empty(count, np.int64), np.empty(count, np.int64)
    parent = np.empty(count, np.int64)
    fronts = 0
    stack = np.empty((256, 3), np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2] = 0, count, -1
    top = 1
    scratch = np.empty(count, np.int64)
    while top > 0:
        top -= 1
        low, high, above = stack[top, 0], stack[top, 1], stack[top, 2]
        if high == low:
            continue
        y0, y1, x0, x1 = ny[order[low]], ny[order[low]], nx[order[low]], nx[order[low]]
        for p in range(low, high):
            node = order[p]
            y0, y1 = min(y0, ny[node]), max(y1, ny[node])
            x0, x1 = min(x0, nx[node]), max(x1, nx[node])
        vertical = y1 - y0 >= x1 - x0
        along = ny if vertical else nx
        base = y0 if vertical else x0
        length = (y1 - y0 if vertical else x1 - x0) + 1
        if high - low <= leaf or length < 3:
            start[fronts], end[fronts], parent[fronts] = low, high, above
            fronts += 1
            continue
        histogram = np.zeros(length, np.int64)
        for p in range(low, high):
            histogram[along[order[p]] - base] += 1
        cut, best, before = 0, 1e300, 0
        for c in range(length):
            after = high - low - before - histogram[c]
            imbalance = max(before, after) / (high - low)
            if min(before, after) > 0 and imbalance < 0.8:
                cost = (histogram[c] + 1.0) * (1.0 + 2.0 * (imbalance - 0.5))
                if cost < best:
                    best, cut = cost, c
            before += histogram[c]
        if best == 1e300:
            cut, before = 0, 0
            for c in range(length):
                if before + histogram[c] >= (high - low) // 2:
                    cut = c
                    break
                before += histogram[c]
        left, right = low, high
        lefts = 0
        for p in range(low, high):
            if along[order[p]] - base < cut:
                lefts += 1
        rights = high - low - lefts - histogram[cut]
        left, right, middle = low, low + lefts, low + lefts + rights
        a, b, c = left, right, middle
        for p in range(low, high):
            scratch[p] = order[p]
        for p in range(low, high):
            where = along[scratch[p]] - base
            if where < cut:
                order[a] = scratch[p]
                a += 1
            elif where > cut:
                order[b] = scratch[p]
                b += 1
            else:
                order[c] = scratch[p]
                c += 1
        if middle < high:
            start[fronts], end[fronts], parent[fronts] = middle, high, above
            above = fronts
            fronts += 1
        if top + 2 > len(stack):
            larger = np.empty((2 * len(stack), 3), np.int64)
            for p in range(top):
                for c in range(3):
                    larger[p, c] = stack[p, c]
            stack = larger
        stack[top, 0], stack[top, 1], stack[top, 2] = left, right, above
        stack[top + 1, 0], stack[top + 1, 1], stack[top + 1, 2] = right, middle, above
        top += 2
    return start[:fronts].copy(), end[:fronts].copy(), parent[:fronts].copy()


@njit()
def _borders(
    grid: np.ndarray,
    ny: np.ndarray,
    nx: np.ndarray,
    order: np.ndarray,
    place: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    children_start: np.ndarray,
    children: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    # border = later neighbours of the own nodes and of the children's borders
    fronts = len(start)
    begin = np.zeros(fronts + 1, np.int64)
    stamp = np.full(len(order), -1, np.int64)
    pool = np.empty(8 * len(order) + 64, np.int64)
    found = np.empty(len(order), np.int64)
    for f in range(fronts):
        count = 0
        for p in range(start[f], end[f]):
            node = order[p]
            for y in range(max(0, ny[node] - 1), min(grid.shape[0], ny[node] + 2)):
                for x in range(max(0, nx[node] - 1), min(grid.shape[1], nx[node] + 2)):
                    if grid[y, x] >= 0:
                        q = place[grid[y, x]]
                        if q >= end[f] and stamp[q] != f:
                            stamp[q] = f
                            found[count] = q
                            count += 1
        for c in range(children_start[f], children_start[f + 1]):
            for k in range(begin[children[c]], begin[children[c] + 1]):
                q = pool[k]
                if q >= end[f] and stamp[q] != f:
                    stamp[q] = f
                    found[count] = q
                    count += 1
        if begin[f] + count > len(pool):
            larger = np.empty(2 * len(pool) + count, np.int64)
            for k in range(begin[f]):
                larger[k] = pool[k]
            pool = larger
        _sort(found, count)
        for k in range(count):
            pool[begin[f] + k] = found[k]
        begin[f + 1] = begin[f] + count
    return begin, pool[: begin[fronts]].copy()


@njit()
def _sort(values: np.ndarray, count: int) -> None:
    """Sort the first `count` of values in place (Shell 1959); NumPy's own sort takes a second to compile."""
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, count):
            value, j = values[i], i
            while j >= gap and values[j - gap] > value:
                values[j] = values[j - gap]
                j -= gap
            values[j] = value
        gap //= 3


@njit()
def _into_parent(
    start: np.ndarray, end: np.ndarray, parent: np.ndarray, border_start: np.ndarray, border: np.ndarray
) -> np.ndarray:
    # both lists are sorted: walk them together
    into = np.full(len(border), -1, np.int64)
    for f in range(len(start)):
        g = parent[f]
        if g < 0:
            continue
        own = end[g] - start[g]
        k = border_start[g]
        for e in range(border_start[f], border_start[f + 1]):
            if border[e] < end[g]:
                into[e] = border[e] - start[g]
            else:
                while border[k] < border[e]:
                    k += 1
                into[e] = own + k - border_start[g]
    return into


@njit()
def _assemble_front(
    f: int,
    grid: np.ndarray,
    ny: np.ndarray,
    nx: np.ndarray,
    blocks: np.ndarray,
    order: np.ndarray,
    place: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    border_start: np.ndarray,
    border: np.ndarray,
    into: np.ndarray,
    children_start: np.ndarray,
    children: np.ndarray,
    below_at: np.ndarray,
    below: np.ndarray,
    front: np.ndarray,
    least: np.ndarray,
) -> None:
    # lower triangle of the front: the matrix's own blocks, and what the children's elimination left; least = the
    # smallest pivots that count
    own = end[f] - start[f]
    edge = border[border_start[f] : border_start[f + 1]]
    for p in range(start[f], end[f]):
        a = order[p]
        column = 4 * (p - start[f])
        for i in range(4):
            least[column + i] = LEAST_PIVOT * blocks[a, 0, i, i]
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                y, x = ny[a] + dy, nx[a] + dx
                if y < 0 or x < 0 or y >= grid.shape[0] or x >= grid.shape[1] or grid[y, x] < 0:
                    continue
                b = grid[y, x]
                q = place[b]
                if q < p:
                    continue
                row = 4 * (q - start[f]) if q < end[f] else 4 * (own + np.searchsorted(edge, q))
                later = dy > 0 or (dy == 0 and dx >= 0)
                slot = (dx if dy == 0 else 3 + dx) if later else (-dx if dy == 0 else 3 - dx)
                for i in range(4):
                    for j in range(4):
                        front[row + i, column + j] = blocks[a, slot, j, i] if later else blocks[b, slot, i, j]
    for c in range(children_start[f], children_start[f + 1]):
        child = children[c]
        low, high = border_start[child], border_start[child + 1]
        size = 4 * (high - low)
        offset = below_at[child]
        for e in range(low, high):
            row = 4 * into[e]
            for i in range(4):
                line = offset + (4 * (e - low) + i) * size
                for g in range(low, e + 1):
                    column = 4 * into[g]
                    at = line + 4 * (g - low)
                    for j in range(4):
                        front[row + i, column + j] += below[at + j]


@njit(fastmath=True)
def _eliminate_panel(front: np.ndarray, first: int, last: int, turned: np.ndarray, least: np.ndarray) -> None:
    # columns first:last of the lower Cholesky factor; turned = their rows from `last` on, transposed
    size, width = len(front), last - first
    for j in range(first, last):
        pivot = front[j, j]
        for k in range(first, j):
            pivot -= front[j, k] * front[j, k]
        pivot = np.sqrt(pivot) if pivot > least[j] else DROPPED
        front[j, j] = pivot
        for i in range(j + 1, last):
            total = front[i, j]
            for k in range(first, j):
                total -= front[i, k] * front[j, k]
            front[i, j] = total / pivot
    for i in range(last, size):
        row = front[i, first:last]
        for j in range(width):
            turned[j, i] = row[j]
    for j in range(width):
        line = turned[j, last:size]
        for k in range(j):
            a = front[first + j, first + k]
            other = turned[k, last:size]
            for i in range(len(line)):
                line[i] -= a * other[i]
        a = 1.0 / front[first + j, first + j]
        for i in range(len(line)):
            line[i] *= a
    for i in range(last, size):
        row = front[i, first:last]
        for j in range(width):
            row[j] = turned[j, i]


@njit(fastmath=True)
def _update_rows(front: np.ndarray, low: int, high: int, first: int, last: int, turned: np.ndarray) -> None:
    # front[i, last:] -= sum over the panel's columns k of front[i, k] front[:, k]', four rows and four columns at
    # once; slices, since an index that may be negative keeps a loop from being vectorised
    for i in range(low, high, 4):
        stop = i + 4
        r0, r1, r2, r3 = front[i, last:stop], front[i + 1, last:stop], front[i + 2, last:stop], front[i + 3, last:stop]
        p0, p1, p2, p3 = front[i, first:last], front[i + 1, first:last], front[i + 2, first:last], front[i + 3, first:last]  # fmt: skip # noqa: E501
        for k in range(0, last - first, 4):
            a0, a1, a2, a3 = p0[k], p0[k + 1], p0[k + 2], p0[k + 3]
            b0, b1, b2, b3 = p1[k], p1[k + 1], p1[k + 2], p1[k + 3]
            c0, c1, c2, c3 = p2[k], p2[k + 1], p2[k + 2], p2[k + 3]
            d0, d1, d2, d3 = p3[k], p3[k + 1], p3[k + 2], p3[k + 3]
            t0, t1, t2, t3 = turned[k, last:stop], turned[k + 1, last:stop], turned[k + 2, last:stop], turned[k + 3, last:stop]  # fmt: skip # noqa: E501
            for j in range(len(r0)):
                u0, u1, u2, u3 = t0[j], t1[j], t2[j], t3[j]
                r0[j] -= a0 * u0 + a1 * u1 + a2 * u2 + a3 * u3
                r1[j] -= b0 * u0 + b1 * u1 + b2 * u2 + b3 * u3
                r2[j] -= c0 * u0 + c1 * u1 + c2 * u2 + c3 * u3
                r3[j] -= d0 * u0 + d1 * u1 + d2 * u2 + d3 * u3


@njit()
def _store_front(
    front: np.ndarray, own: int, panels: np.ndarray, panel_at: int, schur: np.ndarray, schur_at: int
) -> None:
    # the factor's columns, rows of `own` numbers each, and what is left for the parent, whole 4x4 blocks of it
    size = len(front)
    rest = size - own
    for i in range(size):
        row, line = front[i, :own], panels[panel_at + i * own : panel_at + (i + 1) * own]
        filled = min(own, i + 1)
        for j in range(filled):
            line[j] = row[j]
        line[filled:] = 0.0
    for i in range(rest):
        row, line = front[own + i, own:size], schur[schur_at + i * rest : schur_at + (i + 1) * rest]
        for j in range(i + 1):
            line[j] = row[j]
        for j in range(i + 1, (i // 4 + 1) * 4):
            line[j] = front[own + j, own + i]


@njit()
def _factor_subtrees(
    first: int,
    last: int,
    subtrees: np.ndarray,
    stacks: np.ndarray,
    grid: np.ndarray,
    ny: np.ndarray,
    nx: np.ndarray,
    blocks: np.ndarray,
    order: np.ndarray,
    place: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    border_start: np.ndarray,
    border: np.ndarray,
    into: np.ndarray,
    children_start: np.ndarray,
    children: np.ndarray,
    panel_start: np.ndarray,
    panels: np.ndarray,
    at: np.ndarray,
    schur: np.ndarray,
) -> None:
    # a subtree's fronts one after the other, in a workspace of its own; its root's remainder is kept in `schur`
    for s in range(first, last):
        low, root = subtrees[s, 0], subtrees[s, 1]
        most = 0
        for f in range(low, root + 1):
            most = max(most, 4 * (end[f] - start[f] + border_start[f + 1] - border_start[f]))
        space, turned = np.empty(most * most, np.float32), np.empty((PANEL, most), np.float32)
        stack, least = np.empty(stacks[s], np.float32), np.empty(most, np.float32)
        for f in range(low, root + 1):
            own = 4 * (end[f] - start[f])
            size = own + 4 * (border_start[f + 1] - border_start[f])
            front = space[: size * size].reshape((size, size))
            front[:] = 0.0
            _assemble_front(
                f, grid, ny, nx, blocks, order, place, start, end, border_start, border, into, children_start,
                children, at, stack, front, least,
            )  # fmt: skip
            for column in range(0, own, PANEL):
                stop = min(own, column + PANEL)
                _eliminate_panel(front, column, stop, turned, least)
                _update_rows(front, stop, size, column, stop, turned)
            _store_front(front, own, panels, panel_start[f], schur if f == root else stack, at[f])


@njit(parallel=True)
def _factor_front(
    f: int,
    grid: np.ndarray,
    ny: np.ndarray,
    nx: np.ndarray,
    blocks: np.ndarray,
    order: np.ndarray,
    place: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    border_start: np.ndarray,
    border: np.ndarray,
    into: np.ndarray,
    children_start: np.ndarray,
    children: np.ndarray,
    panel_start: np.ndarray,
    panels: np.ndarray,
    at: np.ndarray,
    schur: np.ndarray,
) -> None:
    # one large front: all threads work on its rows
    own = 4 * (end[f] - start[f])
    size = own + 4 * (border_start[f + 1] - border_start[f])
    front, turned = np.zeros((size, size), np.float32), np.empty((PANEL, size), np.float32)
    least = np.empty(own, np.float32)
    _assemble_front(
        f, grid, ny, nx, blocks, order, place, start, end, border_start, border, into, children_start, children,
        at, schur, front, least,
    )  # fmt: skip
    for column in range(0, own, PANEL):
        stop = min(own, column + PANEL)
        _eliminate_panel(front, column, stop, turned, least)
        pieces = (size - stop + 31) // 32
        for piece in prange(pieces):
            low = stop + 32 * piece
            _update_rows(front, low, min(size, low + 32), column, stop, turned)
    _store_front(front, own, panels, panel_start[f], schur, at[f])


@njit(fastmath=True)
def _forward(
    f: int,
    start: np.ndarray,
    end: np.ndarray,
    border_start: np.ndarray,
    into: np.ndarray,
    children_start: np.ndarray,
    children: np.ndarray,
    panel_start: np.ndarray,
    panels: np.ndarray,
    x: np.ndarray,
    carry: np.ndarray,
) -> None:
    # a front solves for its own and hands on, in `carry`, what its border's right-hand side loses
    own = 4 * (end[f] - start[f])
    mine = x[4 * start[f] : 4 * end[f]]
    edge = carry[4 * border_start[f] : 4 * border_start[f + 1]]
    edge[:] = 0.0
    for c in range(children_start[f], children_start[f + 1]):
        child = children[c]
        for e in range(border_start[child], border_start[child + 1]):
            row = 4 * into[e]
            for i in range(4):
                if row < own:
                    mine[row + i] += carry[4 * e + i]
                else:
                    edge[row - own + i] += carry[4 * e + i]
    at = panel_start[f]
    for i in range(own):
        line = panels[at + i * own : at + i * own + i + 1]
        total = mine[i]
        for j in range(i):
            total -= line[j] * mine[j]
        mine[i] = total / line[i]
    at += own * own
    for i in range(len(edge)):
        line = panels[at + i * own : at + (i + 1) * own]
        total = np.float32(0.0)
        for j in range(len(line)):
            total += line[j] * mine[j]
        edge[i] -= total


@njit(fastmath=True)
def _backward(
    f: int,
    start: np.ndarray,
    end: np.ndarray,
    border_start: np.ndarray,
    border: np.ndarray,
    panel_start: np.ndarray,
    panels: np.ndarray,
    x: np.ndarray,
) -> None:
    own = 4 * (end[f] - start[f])
    mine = x[4 * start[f] : 4 * end[f]]
    at = panel_start[f] + own * own
    for e in range(border_start[f], border_start[f + 1]):
        value = x[4 * border[e] : 4 * border[e] + 4]
        line = panels[at : at + 4 * own]
        l0, l1, l2, l3 = line[:own], line[own : 2 * own], line[2 * own : 3 * own], line[3 * own :]
        for j in range(len(mine)):
            mine[j] -= l0[j] * value[0] + l1[j] * value[1] + l2[j] * value[2] + l3[j] * value[3]
        at += 4 * own
    at = panel_start[f]
    for i in range(own - 1, -1, -1):
        line = panels[at + i * own : at + i * own + i + 1]
        solved = mine[i] / line[i]
        mine[i] = solved
        for j in range(i):
            mine[j] -= line[j] * solved


@njit(parallel=True)
def _solve(
    start: np.ndarray,
    end: np.ndarray,
    border_start: np.ndarray,
    border: np.ndarray,
    into: np.ndarray,
    children_start: np.ndarray,
    children: np.ndarray,
    subtrees: np.ndarray,
    top: np.ndarray,
    panel_start: np.ndarray,
    panels: np.ndarray,
    x: np.ndarray,
    carry: np.ndarray,
) -> None:
    for s in prange(len(subtrees)):
        for f in range(subtrees[s, 0], subtrees[s, 1] + 1):
            _forward(f, start, end, border_start, into, children_start, children, panel_start, panels, x, carry)
    for t in range(len(top)):
        _forward(top[t], start, end, border_start, into, children_start, children, panel_start, panels, x, carry)
    for t in range(len(top)):
        _backward(top[len(top) - 1 - t], start, end, border_start, border, panel_start, panels, x)
    for s in prange(len(subtrees)):
        for back in range(subtrees[s, 1] - subtrees[s, 0] + 1):
            _backward(subtrees[s, 1] - back, start, end, border_start, border, panel_start, panels, x)
