"""Our methods and pymatting's on synthetic scenes of 1 and 12 megapixels; needs no data but what it paints itself.

    python benchmarks/synthetic.py [--size 1152x896] [--methods closed-form pymatting:cf]

At 12 megapixels only methods that stay within a few GB are run unless --methods says otherwise.
"""

from common import OURS, PYMATTING, RUNS, arguments, measure, trimatte

SIZES = {"1mp": "1152x896", "12mp": "4000x3000"}
FRUGAL = ["closed-form", "pymatting:cf", "shared", "pymatting:sm"]

if __name__ == "__main__":
    parser = arguments(__doc__, dataset=False)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    given = parser.parse_args()
    for size in given.sizes:
        scenes = RUNS / f"scenes-{size}"
        count = 11 if size == "1mp" else 6
        kinds = ["--kinds", "hair,fur,feather,foliage,net,hard"] if size == "12mp" else []
        trimatte(
            *("datasets", "synthesize", str(scenes), "--count", str(given.limit or count), "--size", SIZES[size]),
            *("--noise", "0.01", "--overlap", "0.3", *kinds),
        )
        measure(
            f"synthetic-{size}",
            str(scenes),
            given.methods or (FRUGAL if size == "12mp" else OURS + PYMATTING),
            limit=given.limit,
            heading=f"Classical methods, light and hybrid on synthetic scenes of {SIZES[size]} pixels",
        )
