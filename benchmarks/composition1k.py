"""Our methods and pymatting's on samples of Composition-1k (a folder image/, alpha/, trimap/, or the whole set).

python benchmarks/composition1k.py FOLDER
"""

from common import OURS, PYMATTING, arguments, measure

if __name__ == "__main__":
    given = arguments(__doc__).parse_args()
    measure(
        "composition1k",
        given.dataset,
        given.methods or OURS + PYMATTING,
        limit=given.limit,
        heading="Classical methods, light and hybrid on samples of Composition-1k",
    )
