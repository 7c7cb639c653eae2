"""How good fitted models are, and how that is shown: tables, reports, plots, model cards."""
