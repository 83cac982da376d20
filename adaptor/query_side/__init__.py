"""The query side outside of the adaptor's own folder: what `matryoshka query-side` writes, read and checked.

Each reader needs the base install and the library of its format, and nothing else. All of them refuse to load where the
canary vectors come out otherwise than at the export.
"""
