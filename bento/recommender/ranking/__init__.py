"""From scored candidates to an ordered, explained list: cold start, fallbacks, diversity, selection, reasons."""
