"""Direct solution over a grid of nodes with four unknowns each, by nested dissection.

The nodes are split by lines of nodes, the separators, again and again (George, SIAM J. Numer. Anal. 1973), each time
where the band is thin. Eliminating leaves first and separators last keeps the fill small and dense: every part
becomes one dense front (Duff and Reid, ACM Trans. Math. Softw. 1983), and fronts of one depth are independent.
Fronts are factored in float32 and kept in 16 bits, since the factor serves as a preconditioner.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

from trimatte.runtime.jit import njit, side_by_side

LEAF = 8
"""Nodes that a part may have without being split."""
LOPSIDED = 0.8
"""A separator leaves at most this share of a part's nodes on one side, so that the tree is no deeper than log n / log
1.25; where no line does, the part is cut at its median."""
LEANING = 2.0
"""How much dearer a separator is that leaves one side empty than one of the same length in the middle: 1 + LEANING / 2
times. A shorter separator saves more fill than even halves do, so that it is little."""
PANEL = 32
"""Columns eliminated at once in a front."""
ROWS = 32
"""Rows of a large front that are updated at a time; a multiple of the four that are updated together."""
SUBTREES = 16
"""Parts of the tree that are worked on side by side; fixed, so that results do not depend on the number of threads."""
PAD = 4
"""What rows of fronts have more than they need, so that all lines can be a multiple of 8 long."""
LEAST_LARGEST = np.float32(1e-9)
"""Rows whose largest number is below this are kept less exactly, so that none is divided by zero."""
WHOLE = np.float32(32767)
"""What the largest number of a row becomes in 16 bits."""
LEAST_PIVOT = 1e-6
"""An unknown whose pivot falls below this share of its diagonal entry is left at zero: the matrix does not hold it."""
DROPPED = np.float32(1e18)
"""Stands for the pivot of an unknown that is left at zero."""


class Tree(NamedTuple):
    """Fronts in postorder, children before parents, and the elimination order of the nodes.

    Attributes
    ----------
    order : (m,) int64 array
        Node at each place of the elimination order.
    place : (m,) int64 array
        Its inverse.
    start, end : (f,) int64 array
        Each front's own places.
    children_start, children : ndarray
        CSR lists of each front's children.
    border_start : (f + 1,) int64 array
        Where each front's border begins in `border`.
    border : ndarray
        int64; sorted places of later nodes that the front's elimination ties together.
    into : ndarray
        int64; for each border entry, its place within the parent's front.
    subtrees : (s, 2) int64 array
        First and last front of each subtree, a run of the postorder.
    top : ndarray
        int64; the fronts above them.
    panel_start : (f + 1,) int64 array
        Where each front's columns begin in `Panels.lines`.
    """

    order: np.ndarray
    place: np.ndarray
    start: np.ndarray
    end: np.ndarray
    children_start: np.ndarray
    children: np.ndarray
    border_start: np.ndarray
    border: np.ndarray
    into: np.ndarray
    subtrees: np.ndarray
    top: np.ndarray
    panel_start: np.ndarray

    def of(self, front: int) -> np.ndarray:
        """Children of a front."""
        return self.children[self.children_start[front] : self.children_start[front + 1]]


class Matrix(NamedTuple):
    """A symmetric block matrix over a node grid; of each node the blocks with itself and its later neighbours are kept.

    Attributes
    ----------
    grid : (rows, columns) int32 array
        Number of each node or -1.
    ny, nx : (m,) int64 array
        Row and column of each node.
    blocks : (m, 5, 4, 4) float32 array
        Of each node with itself and its neighbours to the right, lower left, below and lower right.
    """

    grid: np.ndarray
    ny: np.ndarray
    nx: np.ndarray
    blocks: np.ndarray


class Remainder(NamedTuple):
    """What the elimination of each front makes of its border, a dense matrix for the parent to take up.

    Within a subtree it goes on a stack, over the children's, which are used up by then; the fronts of the top and the
    roots of the subtrees keep theirs.

    Attributes
    ----------
    at : (f,) int64 array
        Where each front's begins, on its subtree's stack or in `kept`.
    kept : ndarray
        float32.
    """

    at: np.ndarray
    kept: np.ndarray


class Panels(NamedTuple):
    """The columns of a factor: of each node, in the order of elimination, a corner and the four lines below it.

    A line goes through the front's later rows, padded to a multiple of 8. It is kept as whole numbers, and for each row
    of a front what one of them is worth: half of the memory, and as good a preconditioner. Floating point numbers of 16
    bits would cost some iterations, one worth for each line would cost twice as many as there are.

    Attributes
    ----------
    lines : int16 array
    worth, border_worth : float32 array
        Of the rows of the nodes, (4 m,), and of the fronts' borders.
    corner : (m, 4, 4) float32 array
        The inverse of the node's own part of the factor, lower triangular.
    """

    lines: np.ndarray
    worth: np.ndarray
    border_worth: np.ndarray
    corner: np.ndarray


class Factor(NamedTuple):
    """Cholesky factor of a block matrix over a node grid."""

    tree: Tree
    panels: Panels

    def solve(self, x: np.ndarray) -> None:
        """Overwrite x (m, 4) float32, nodes in the order of elimination, with the solution for it."""
        tree, top, flat = self.tree, np.stack([self.tree.top, self.tree.top], axis=1), x.reshape(-1)
        carry = np.empty(4 * len(tree.border), np.float32)
        side_by_side(_forward, len(tree.subtrees), tree.subtrees, *self, flat, carry)
        _forward(0, len(top), top, *self, flat, carry)
        _backward(0, len(top), top, *self, flat)
        side_by_side(_backward, len(tree.subtrees), tree.subtrees, *self, flat)


def factorise(grid: np.ndarray, blocks: np.ndarray) -> Factor:
    """Factor the symmetric positive definite matrix of `blocks`.

    Parameters
    ----------
    grid : (rows, columns) int32 array
        Number of each node or -1.
    blocks : (m, 5, 4, 4) float32; each node's blocks with itself and its neighbours to the right, lower left, below
        and lower right.
    """
    matrix = Matrix(grid, *_node_places(grid, len(blocks)), blocks)
    tree = _tree(matrix)
    panels = Panels(
        np.empty(int(tree.panel_start[-1]), np.int16),
        np.empty(4 * len(blocks), np.float32),
        np.empty(4 * len(tree.border), np.float32),
        np.empty((len(blocks), 4, 4), np.float32),
    )
    remainder = _remainder(tree)
    side_by_side(_factor_subtrees, len(tree.subtrees), tree, matrix, remainder, panels)
    for f in tree.top:
        _factor_front(int(f), tree, matrix, remainder, panels)
    return Factor(tree, panels)


def _remainder(tree: Tree) -> Remainder:
    """Room for what is kept; the places on the stacks are found on the way."""
    size = (4 * np.diff(tree.border_start)) ** 2
    keeping = np.concatenate([tree.subtrees[:, 1], tree.top])
    at = np.zeros(len(size), np.int64)
    ends = np.cumsum(size[keeping])
    at[keeping] = ends - size[keeping]
    return Remainder(at, np.empty(ends[-1] if len(ends) else 0, np.float32))


def _factor_front(f: int, tree: Tree, matrix: Matrix, remainder: Remainder, panels: Panels) -> None:
    """Factor one large front, all threads on its rows."""
    own = 4 * int(tree.end[f] - tree.start[f])
    size = own + 4 * int(tree.border_start[f + 1] - tree.border_start[f])
    front, least = np.empty((size, size + PAD), np.float32), np.empty(own, np.float32)
    _assemble_front(f, tree, matrix, remainder.at, remainder.kept, front, least)
    corners = panels.corner[tree.start[f] : tree.end[f]]
    for column in range(0, own, PANEL):
        stop = min(own, column + PANEL)
        _eliminate_panel(front, column, stop, least, corners)
        side_by_side(_update_rows, -(-(size - stop) // ROWS), front, column, stop)
    _keep_lines(f, front, tree, panels, np.empty(size + PAD, np.float32))
    _keep_rest(front, own, remainder.kept, int(remainder.at[f]))


def dissect(grid: np.ndarray, count: int) -> Tree:
    """Order the nodes by nested dissection and lay out the fronts."""
    return _tree(Matrix(grid, *_node_places(grid, count), np.empty((0, 5, 4, 4), np.float32)))


def _tree(matrix: Matrix) -> Tree:
    count = len(matrix.ny)
    order = np.arange(count)
    start, end, parent = _split(matrix.ny, matrix.nx, order, np.empty(max(matrix.grid.shape), np.int64))
    rank = np.argsort(start, kind="stable")
    number = np.empty(len(rank) + 1, np.int64)
    number[rank], number[-1] = np.arange(len(rank)), -1
    start, end, parent = start[rank], end[rank], number[parent[rank]]
    place, none = np.empty(count, np.int64), np.empty(0, np.int64)
    place[order] = np.arange(count)
    tree = Tree(order, place, start, end, *_children(parent), none, none, none, none.reshape(0, 2), none, none)
    border_start, border = _borders(matrix, tree)
    fronts = np.repeat(count * np.arange(len(parent)), np.diff(border_start))
    tree = tree._replace(border_start=border_start, border=np.sort(fronts + border) - fronts)
    panel_start = np.concatenate([[0], np.cumsum(_panel_sizes(end - start, np.diff(border_start)))])
    subtrees, top = _subtrees(np.diff(panel_start), parent, tree)
    return tree._replace(into=_into_parent(tree, parent), subtrees=subtrees, top=top, panel_start=panel_start)


def _panel_sizes(own: np.ndarray, border: np.ndarray) -> np.ndarray:
    """Numbers in the lines of fronts with so many nodes of their own and in the border."""
    later = own * (own - 1) // 2 + own * border  # nodes, summed over a front's own ones
    odd = (own + (own + border - 1) % 2) // 2  # how often their number is odd, and padded
    sizes: np.ndarray = 16 * (later + odd)
    return sizes


def _children(parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CSR lists of each front's children, in postorder."""
    with_parent = np.flatnonzero(parent >= 0)
    children = with_parent[np.argsort(parent[with_parent], kind="stable")]
    counts = np.bincount(parent[with_parent], minlength=len(parent))
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), children


def _subtrees(weight: np.ndarray, parent: np.ndarray, tree: Tree) -> tuple[np.ndarray, np.ndarray]:
    """Split the heaviest subtree at its root until there are enough: (first, last) front of each, and the roots."""
    first, total = list(range(len(parent))), weight.astype(np.float64).tolist()  # quicker one by one than arrays
    for f, above in enumerate(parent.tolist()):
        if above >= 0:
            if first[f] < first[above]:
                first[above] = first[f]
            total[above] += total[f]
    heap = [(-total[f], int(f)) for f in np.flatnonzero(parent < 0)]
    heapq.heapify(heap)
    top = []
    while heap and len(heap) < SUBTREES and len(tree.of(heap[0][1])) > 0:
        _, f = heapq.heappop(heap)
        top.append(f)
        for child in tree.of(f):
            heapq.heappush(heap, (-total[child], int(child)))
    pairs = np.array([(first[f], f) for f in _dealt([f for _, f in sorted(heap)])], np.int64).reshape(-1, 2)
    return pairs, np.array(sorted(top), np.int64)


def _dealt(heaviest_first: list[int]) -> list[int]:
    """The same subtrees in an order whose halves, quarters and so on weigh much the same: threads take runs of it."""
    if len(heaviest_first) < 3:
        return heaviest_first
    one = [f for i, f in enumerate(heaviest_first) if i % 4 in (0, 3)]
    other = [f for i, f in enumerate(heaviest_first) if i % 4 in (1, 2)]
    return _dealt(one) + _dealt(other)


def _node_places(grid: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each node."""
    rows, columns = np.nonzero(grid >= 0)
    ny, nx = np.empty(count, np.int64), np.empty(count, np.int64)
    numbers = grid[rows, columns]
    ny[numbers], nx[numbers] = rows, columns
    return ny, nx


@njit()
def _split(
    ny: np.ndarray, nx: np.ndarray, order: np.ndarray, lines: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fronts' start, end and parent; `order` is permuted, so that parts read: one side, the other, the separator.

    `lines` has room for the nodes on each row or column.
    """
    count, fronts, waiting = len(order), 0, 1
    start, end, parent = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int64)
    parts = np.empty((count + 1, 3), np.int64)  # still to be split: from, to, and the front above
    parts[0, 0], parts[0, 1], parts[0, 2] = 0, count, -1
    scratch = np.empty(count, np.int64)
    while waiting > 0:
        waiting -= 1
        low, high, above = parts[waiting, 0], parts[waiting, 1], parts[waiting, 2]
        y, height = _extent(ny, order, low, high)
        x, width = _extent(nx, order, low, high)
        along, base, length = (ny, y, height) if height >= width else (nx, x, width)
        if high - low <= LEAF or length < 3:
            start[fronts], end[fronts], parent[fronts] = low, high, above
            fronts += 1
            continue
        for line in range(length):
            lines[line] = 0
        for p in range(low, high):
            lines[along[order[p]] - base] += 1
        cut, before = _separator(lines, length, high - low)
        right, middle = low + before, high - lines[cut]
        a, b, c = low, right, middle
        for p in range(low, high):
            scratch[p] = order[p]
        for p in range(low, high):
            side = along[scratch[p]] - base - cut
            if side < 0:
                order[a] = scratch[p]
                a += 1
            elif side > 0:
                order[b] = scratch[p]
                b += 1
            else:
                order[c] = scratch[p]
                c += 1
        if middle < high:
            start[fronts], end[fronts], parent[fronts] = middle, high, above
            above = fronts
            fronts += 1
        for first, last in ((low, right), (right, middle)):
            if first < last:
                parts[waiting, 0], parts[waiting, 1], parts[waiting, 2] = first, last, above
                waiting += 1
    return start[:fronts].copy(), end[:fronts].copy(), parent[:fronts].copy()


@njit()
def _extent(places: np.ndarray, order: np.ndarray, low: int, high: int) -> tuple[int, int]:
    """The least row (or column) of a part's nodes, and how many rows it spans."""
    least = most = places[order[low]]
    for p in range(low + 1, high):
        least, most = min(least, places[order[p]]), max(most, places[order[p]])
    return least, most - least + 1


@njit()
def _separator(lines: np.ndarray, length: int, total: int) -> tuple[int, int]:
    """The line to cut a part at, the shortest not too far from the middle, and how many nodes lie before it.

    `lines` holds how many nodes there are on each.
    """
    cut, at, least, before = -1, 0, np.inf, 0
    for c in range(length):
        after = total - before - lines[c]
        share = max(before, after) / total
        if min(before, after) > 0 and share < LOPSIDED:
            cost = (lines[c] + 1.0) * (1.0 + LEANING * (share - 0.5))
            if cost < least:
                cut, at, least = c, before, cost
        before += lines[c]
    if cut < 0:
        cut, at = 0, 0
        while at + lines[cut] < total // 2:
            at += lines[cut]
            cut += 1
    return cut, at


@njit()
def _borders(matrix: Matrix, tree: Tree) -> tuple[np.ndarray, np.ndarray]:
    """`border_start` of the tree, and the borders, not sorted yet.

    They are the later neighbours of a front's own nodes, and what is later in its children's borders.
    """
    grid, ny, nx = matrix.grid, matrix.ny, matrix.nx
    begin, stamp = np.zeros(len(tree.start) + 1, np.int64), np.full(len(tree.order), -1, np.int64)
    pool = np.empty(8 * len(tree.order) + 64, np.int64)
    for f in range(len(tree.start)):
        count, end = begin[f], tree.end[f]
        children = tree.children[tree.children_start[f] : tree.children_start[f + 1]]
        most = count + 8 * (end - tree.start[f])
        for child in children:
            most += begin[child + 1] - begin[child]
        if most > len(pool):
            larger = np.empty(2 * most, np.int64)
            for k in range(count):
                larger[k] = pool[k]
            pool = larger
        for p in range(tree.start[f], end):
            y, x = ny[tree.order[p]], nx[tree.order[p]]
            for v in range(max(0, y - 1), min(grid.shape[0], y + 2)):
                for u in range(max(0, x - 1), min(grid.shape[1], x + 2)):
                    if grid[v, u] >= 0:
                        q = tree.place[grid[v, u]]
                        if q >= end and stamp[q] != f:
                            stamp[q], pool[count] = f, q
                            count += 1
        for child in children:
            for k in range(begin[child], begin[child + 1]):
                q = pool[k]
                if q >= end and stamp[q] != f:
                    stamp[q], pool[count] = f, q
                    count += 1
        begin[f + 1] = count
    return begin, pool[: begin[-1]].copy()


def _into_parent(tree: Tree, parent: np.ndarray) -> np.ndarray:
    """For each border entry its place within the parent's front: among its own nodes, or behind them in its border."""
    fronts = np.repeat(np.arange(len(parent)), np.diff(tree.border_start))
    above, many = parent[fronts], len(tree.order)
    behind = np.searchsorted(fronts * many + tree.border, above * many + tree.border) - tree.border_start[above]
    own = tree.border < tree.end[above]
    into: np.ndarray = np.where(own, tree.border, tree.end[above] + behind) - tree.start[above]
    return into


@njit()
def _assemble_front(
    f: int,
    tree: Tree,
    matrix: Matrix,
    below_at: np.ndarray,
    below: np.ndarray,
    front: np.ndarray,
    least: np.ndarray,
) -> None:
    """Upper triangle of a front: the matrix's own blocks, and what the children's elimination left in `below`.

    Blocks on the diagonal are whole, but only their upper triangle counts. least = the smallest pivots that count.
    """
    start, end, first, last = tree.start[f], tree.end[f], tree.border_start[f], tree.border_start[f + 1]
    grid, blocks, border, into = matrix.grid, matrix.blocks, tree.border, tree.into
    for row in range(len(front)):
        front[row, row // 4 * 4 :] = 0.0
    for p in range(start, end):
        a = tree.order[p]
        row = 4 * (p - start)
        for i in range(4):
            least[row + i] = LEAST_PIVOT * blocks[a, 0, i, i]
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                y, x = matrix.ny[a] + dy, matrix.nx[a] + dx
                if y < 0 or x < 0 or y >= grid.shape[0] or x >= grid.shape[1] or grid[y, x] < 0:
                    continue
                b = grid[y, x]
                q = tree.place[b]
                if q < p:
                    continue
                column = 4 * (q - start if q < end else end - start + _found(border, first, last, q))
                later = dy > 0 or (dy == 0 and dx >= 0)
                slot = (dx if dy == 0 else 3 + dx) if later else (-dx if dy == 0 else 3 - dx)
                for i in range(4):
                    for j in range(4):
                        front[row + i, column + j] = blocks[a, slot, i, j] if later else blocks[b, slot, j, i]
    for c in range(tree.children_start[f], tree.children_start[f + 1]):
        child = tree.children[c]
        low, high = tree.border_start[child], tree.border_start[child + 1]
        size = 4 * (high - low)
        offset = below_at[child]
        for e in range(low, high):
            for i in range(4):
                line = front[4 * into[e] + i]
                at = offset + (4 * (e - low) + i) * size + 4 * (e - low)
                for g in range(e, high):
                    column = 4 * into[g]
                    more, there = below[at : at + 4], line[column : column + 4]
                    f0, f1, f2, f3 = there[0] + more[0], there[1] + more[1], there[2] + more[2], there[3] + more[3]
                    there[0], there[1], there[2], there[3] = f0, f1, f2, f3  # see `_add` of `coarse`
                    at += 4


@njit()
def _found(values: np.ndarray, first: int, last: int, value: int) -> int:
    """Place of a value in the sorted values[first:last]; NumPy's own search takes two seconds to compile."""
    low, high = first, last - 1
    while low < high:
        middle = (low + high) // 2
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low - first


@njit()
def _eliminate_panel(front: np.ndarray, first: int, last: int, least: np.ndarray, corners: np.ndarray) -> None:
    """Rows first to last of a front become those of its upper factor, but for the corners (n, 4, 4) of its n nodes."""
    for row in range(first, last, 4):
        corner = corners[row // 4]
        _invert_corner(front[row : row + 4, row : row + 4], least[row : row + 4], corner)
        one, two, three, four = _right_of(front, row)
        _multiply(corner, one, two, three, four)
        for later in range(row + 4, last, 4):
            _update(front, later, row, row + 4)


@njit()
def _padded(front: np.ndarray, start: int) -> int:
    """Where a front's lines from `start` on end, so that they are a multiple of 8 long."""
    return start + _line((len(front) - start) // 4)


@njit()
def _invert_corner(corner: np.ndarray, least: np.ndarray, inverse: np.ndarray) -> None:
    """The inverse of the Cholesky factor of a symmetric matrix (4, 4) whose upper triangle is given."""
    factor = np.empty((4, 4), np.float32)
    inverse[:] = 0.0
    for j in range(4):
        for i in range(j, 4):
            total = corner[j, i]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i > j:
                factor[i, j] = total / factor[j, j]
            else:
                factor[j, j] = np.sqrt(total) if total > least[j] else DROPPED
        inverse[j, j] = 1.0 / factor[j, j]
        for i in range(j):
            total = np.float32(0.0)
            for k in range(i, j):
                total -= factor[j, k] * inverse[k, i]
            inverse[j, i] = total * inverse[j, j]


@njit(fastmath=True)
def _multiply(corner: np.ndarray, one: np.ndarray, two: np.ndarray, three: np.ndarray, four: np.ndarray) -> None:
    """Four lines become the corner, lower triangular, times them."""
    a0, b0, b1, c0, c1, c2 = corner[0, 0], corner[1, 0], corner[1, 1], corner[2, 0], corner[2, 1], corner[2, 2]
    d0, d1, d2, d3 = corner[3, 0], corner[3, 1], corner[3, 2], corner[3, 3]
    for j in range(len(one)):
        r0, r1, r2, r3 = one[j], two[j], three[j], four[j]
        one[j] = a0 * r0
        two[j] = b0 * r0 + b1 * r1
        three[j] = c0 * r0 + c1 * r1 + c2 * r2
        four[j] = d0 * r0 + d1 * r1 + d2 * r2 + d3 * r3


@njit(fastmath=True)
def _update(front: np.ndarray, row: int, low: int, high: int) -> None:
    """Four rows lose what rows low <= k < high, of the factor by now, take from them."""
    stop = _padded(front, row)
    a, b, c, d = front[row, row:stop], front[row + 1, row:stop], front[row + 2, row:stop], front[row + 3, row:stop]
    for k in range(low, high, 4):
        u, v, w, z = front[k, row:stop], front[k + 1, row:stop], front[k + 2, row:stop], front[k + 3, row:stop]
        a0, a1, a2, a3 = u[0], v[0], w[0], z[0]
        b0, b1, b2, b3 = u[1], v[1], w[1], z[1]
        c0, c1, c2, c3 = u[2], v[2], w[2], z[2]
        d0, d1, d2, d3 = u[3], v[3], w[3], z[3]
        for j in range(len(a)):
            u0, u1, u2, u3 = u[j], v[j], w[j], z[j]
            a[j] -= a0 * u0 + a1 * u1 + a2 * u2 + a3 * u3
            b[j] -= b0 * u0 + b1 * u1 + b2 * u2 + b3 * u3
            c[j] -= c0 * u0 + c1 * u1 + c2 * u2 + c3 * u3
            d[j] -= d0 * u0 + d1 * u1 + d2 * u2 + d3 * u3


@njit()
def _update_rows(first: int | np.int64, last: int, front: np.ndarray, low: int, high: int) -> None:
    """`_update` by a panel's rows low <= k < high, for `ROWS` rows at a time from `high` on."""
    for row in range(high + ROWS * first, min(len(front), high + ROWS * last), 4):
        _update(front, row, low, high)


@njit(fastmath=True)
def _keep_lines(f: int, front: np.ndarray, tree: Tree, panels: Panels, scale: np.ndarray) -> None:
    """Keep the lines of a front that is eliminated as whole numbers; `scale` is room for a row."""
    start, own, at = 4 * tree.start[f], 4 * (tree.end[f] - tree.start[f]), tree.panel_start[f]
    scale[:] = LEAST_LARGEST
    for row in range(0, own, 4):
        one, two, three, four = _right_of(front, row)
        largest = scale[row + 4 : row + 4 + len(one)]
        for j in range(len(largest)):
            low, high = max(abs(one[j]), abs(two[j])), max(abs(three[j]), abs(four[j]))
            largest[j] = max(largest[j], max(low, high))
    panels.worth[start : start + own] = scale[:own] / WHOLE
    panels.border_worth[4 * tree.border_start[f] : 4 * tree.border_start[f + 1]] = scale[own : len(front)] / WHOLE
    for i in range(len(scale)):
        scale[i] = WHOLE / scale[i]
    for row in range(0, own, 4):
        one, two, three, four = _right_of(front, row)
        n = len(one)
        up = scale[row + 4 : row + 4 + n]
        l0, l1, l2, l3 = _lines(panels.lines, at, n)
        for j in range(n):
            l0[j], l1[j] = _rounded(one[j] * up[j]), _rounded(two[j] * up[j])
            l2[j], l3[j] = _rounded(three[j] * up[j]), _rounded(four[j] * up[j])
        at += 4 * n


@njit()
def _right_of(front: np.ndarray, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The four rows of a node, each beyond the node itself."""
    first, last = row + 4, _padded(front, row + 4)
    return front[row, first:last], front[row + 1, first:last], front[row + 2, first:last], front[row + 3, first:last]


@njit()
def _lines(lines: np.ndarray, at: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A node's four lines of n numbers."""
    two, three, four = at + n, at + 2 * n, at + 3 * n
    return lines[at:two], lines[two:three], lines[three:four], lines[four : four + n]


@njit(fastmath=True)
def _rounded(value: float) -> np.int32:
    """The nearest whole number from -32767 to 32767: above zero it is found by cutting, eight of them at a time."""
    return np.int32(value + np.float32(32768.5)) - np.int32(32768)


@njit()
def _keep_rest(front: np.ndarray, own: int, schur: np.ndarray, at: int) -> None:
    """What the parent gets: the rows below the front's own, from the block on the diagonal on."""
    rest = len(front) - own
    for row in range(rest):
        filled = row // 4 * 4
        schur[at + row * rest + filled : at + (row + 1) * rest] = front[own + row, own + filled : own + rest]


@njit()
def _factor_subtrees(first: int, last: int, tree: Tree, matrix: Matrix, remainder: Remainder, panels: Panels) -> None:
    """A subtree's fronts one after the other, in a workspace of its own."""
    at = remainder.at
    for s in range(first, last):
        low, root = tree.subtrees[s, 0], tree.subtrees[s, 1]
        most, height, highest = 0, 0, 0
        for f in range(low, root + 1):
            edge = 4 * (tree.border_start[f + 1] - tree.border_start[f])
            most = max(most, 4 * (tree.end[f] - tree.start[f]) + edge)
            if f < root:
                if tree.children_start[f] < tree.children_start[f + 1]:
                    height = at[tree.children[tree.children_start[f]]]
                at[f] = height
                height += edge * edge
                highest = max(highest, height)
        space = np.empty(most * (most + PAD), np.float32)
        stack, least = np.empty(highest, np.float32), np.empty(most, np.float32)
        scale = np.empty(most + PAD, np.float32)
        for f in range(low, root + 1):
            own = 4 * (tree.end[f] - tree.start[f])
            size = own + 4 * (tree.border_start[f + 1] - tree.border_start[f])
            front = space[: size * (size + PAD)].reshape((size, size + PAD))
            _assemble_front(f, tree, matrix, at, stack, front, least)
            corners = panels.corner[tree.start[f] : tree.end[f]]
            for column in range(0, own, PANEL):
                stop = min(own, column + PANEL)
                _eliminate_panel(front, column, stop, least, corners)
                _update_rows(np.int64(0), (size - stop + ROWS - 1) // ROWS, front, column, stop)
            _keep_lines(f, front, tree, panels, scale[: size + PAD])
            _keep_rest(front, own, remainder.kept if f == root else stack, at[f])


@njit(fastmath=True)
def _forward(
    first: int, last: int, runs: np.ndarray, tree: Tree, panels: Panels, x: np.ndarray, carry: np.ndarray
) -> None:
    """Runs of fronts (from, to) on the way up.

    Each solves for its own nodes, and hands on, in `carry`, what its border's right-hand side loses.
    """
    border_start, into, children = tree.border_start, tree.into, tree.children
    for r in range(first, last):
        space = _space(tree, runs[r, 0], runs[r, 1])
        for f in range(runs[r, 0], runs[r, 1] + 1):
            start, own, low, high = tree.start[f], tree.end[f] - tree.start[f], border_start[f], border_start[f + 1]
            mine, edge, count = x[4 * start : 4 * (start + own)], carry[4 * low : 4 * high], own + high - low
            edge[:] = 0.0
            for c in range(tree.children_start[f], tree.children_start[f + 1]):
                for e in range(border_start[children[c]], border_start[children[c] + 1]):
                    row = 4 * into[e]
                    for i in range(4):
                        if row < 4 * own:
                            mine[row + i] += carry[4 * e + i]
                        else:
                            edge[row - 4 * own + i] += carry[4 * e + i]
            at, taken = tree.panel_start[f], space[: 4 * count + PAD]
            taken[:] = 0.0
            for node in range(own):
                row, corner, worth = 4 * node, panels.corner[start + node], panels.worth[4 * (start + node) :]
                r0, r1 = mine[row] - worth[0] * taken[row], mine[row + 1] - worth[1] * taken[row + 1]
                r2, r3 = mine[row + 2] - worth[2] * taken[row + 2], mine[row + 3] - worth[3] * taken[row + 3]
                r3 = corner[3, 0] * r0 + corner[3, 1] * r1 + corner[3, 2] * r2 + corner[3, 3] * r3
                r2 = corner[2, 0] * r0 + corner[2, 1] * r1 + corner[2, 2] * r2
                r1 = corner[1, 0] * r0 + corner[1, 1] * r1
                r0 = corner[0, 0] * r0
                mine[row], mine[row + 1], mine[row + 2], mine[row + 3] = r0, r1, r2, r3
                later = taken[row + 4 : row + 4 + _line(count - node - 1)]
                l0, l1, l2, l3 = _lines(panels.lines, at, len(later))
                for j in range(len(later)):
                    one = np.float32(l0[j]) * r0 + np.float32(l1[j]) * r1
                    later[j] += one + np.float32(l2[j]) * r2 + np.float32(l3[j]) * r3
                at += 4 * len(later)
            for i in range(len(edge)):
                edge[i] -= panels.border_worth[4 * low + i] * taken[4 * own + i]


@njit(fastmath=True)
def _backward(first: int, last: int, runs: np.ndarray, tree: Tree, panels: Panels, x: np.ndarray) -> None:
    """The same runs on the way down, from the last front to the first: each takes off what its border has come to."""
    for r in range(last - 1, first - 1, -1):
        space = _space(tree, runs[r, 0], runs[r, 1])
        for f in range(runs[r, 1], runs[r, 0] - 1, -1):
            start, own = tree.start[f], tree.end[f] - tree.start[f]
            low, high = tree.border_start[f], tree.border_start[f + 1]
            mine, count = x[4 * start : 4 * (start + own)], own + high - low
            at, worths = tree.panel_start[f + 1], space[: 4 * count + PAD]  # worth of a row times its solution
            worths[4 * count :] = 0.0
            for e in range(low, high):
                row = 4 * (own + e - low)
                for i in range(4):
                    worths[row + i] = panels.border_worth[4 * e + i] * x[4 * tree.border[e] + i]
            for node in range(own - 1, -1, -1):
                row, corner, worth = 4 * node, panels.corner[start + node], panels.worth[4 * (start + node) :]
                later = worths[row + 4 : row + 4 + _line(count - node - 1)]
                at -= 4 * len(later)
                l0, l1, l2, l3 = _lines(panels.lines, at, len(later))
                t0 = t1 = t2 = t3 = np.float32(0.0)
                for j in range(len(later)):
                    value = later[j]
                    t0, t1 = t0 + np.float32(l0[j]) * value, t1 + np.float32(l1[j]) * value
                    t2, t3 = t2 + np.float32(l2[j]) * value, t3 + np.float32(l3[j]) * value
                t0, t1, t2, t3 = mine[row] - t0, mine[row + 1] - t1, mine[row + 2] - t2, mine[row + 3] - t3
                mine[row] = corner[0, 0] * t0 + corner[1, 0] * t1 + corner[2, 0] * t2 + corner[3, 0] * t3
                mine[row + 1] = corner[1, 1] * t1 + corner[2, 1] * t2 + corner[3, 1] * t3
                mine[row + 2] = corner[2, 2] * t2 + corner[3, 2] * t3
                mine[row + 3] = corner[3, 3] * t3
                for i in range(4):
                    worths[row + i] = worth[i] * mine[row + i]


@njit()
def _line(nodes: int) -> int:
    """Length of a line through the rows of so many nodes; `_panel_sizes` sums it up."""
    return 4 * nodes + (4 * nodes & PAD)


@njit()
def _space(tree: Tree, low: int, high: int) -> np.ndarray:
    """Room for the rows of any front from low to high."""
    most = 0
    for f in range(low, high + 1):
        most = max(most, tree.end[f] - tree.start[f] + tree.border_start[f + 1] - tree.border_start[f])
    return np.empty(4 * most + PAD, np.float32)
