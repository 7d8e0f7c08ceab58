"""From a folder of scans to training slices: find, read, cut, keep, report. Loads no torch."""
