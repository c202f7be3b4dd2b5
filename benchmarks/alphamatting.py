"""Our methods and pymatting's on the training part of alphamatting.com, narrow and wide trimaps.

python benchmarks/alphamatting.py FOLDER        (trimatte datasets list says how to get it)
"""

from common import OURS, PYMATTING, arguments, measure

if __name__ == "__main__":
    given = arguments(__doc__).parse_args()
    measure(
        "alphamatting",
        given.dataset,
        given.methods or OURS + PYMATTING,
        *("--trimap", "trimap1", "--trimap", "trimap2"),
        limit=given.limit,
        heading="Classical methods on alphamatting.com, two trimaps",
    )
