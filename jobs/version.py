"""The version, in one place: also known where the code runs from a folder with nothing installed."""

VERSION = "0.3.0"
