"""Our methods and pymatting's on the training part of alphamatting.com, narrow and wide trimaps.

    python benchmarks/alphamatting.py FOLDER        (trimatte datasets list says how to get it)

Also makes docs/reports/alphamatting.html, the report of our methods, classical and with networks.
"""

from common import OURS, PYMATTING, RESULTS, ROOT, arguments, measure, trimatte

if __name__ == "__main__":
    given = arguments(__doc__).parse_args()
    measure(
        "alphamatting",
        given.dataset,
        given.methods or OURS + PYMATTING,
        *("--trimap", "trimap1", "--trimap", "trimap2"),
        limit=given.limit,
        heading="Classical methods, light and hybrid on alphamatting.com, two trimaps",
    )
    if given.limit is None:
        # From the records alone: the pictures of the set may not be published.
        trimatte(
            *("compare", str(RESULTS / "alphamatting.jsonl"), "--methods", ",".join(OURS)),
            *("--title", "Six classical methods and three with small networks on alphamatting.com, two trimaps"),
            *("-o", str(ROOT / "docs" / "reports" / "alphamatting.html")),
        )
