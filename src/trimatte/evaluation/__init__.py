"""Metrics, benchmark data sets, evaluation runs and their reports.

`trimatte.metrics` holds the metrics, `evaluation.datasets` reads benchmark folders, `evaluation.synthetic` paints
scenes with exact alpha, `evaluation.runs` scores methods into a records file and `evaluation.report` compares runs.
"""
