"""Open-loop load: requests start at a given rate whether or not others were answered; bounds judge the run."""
