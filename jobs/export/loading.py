"""Carries out a plan: files of a full load one after the other, then feeds; after each the target notes it.

1. create (a new collection only)  2. per file: write, save  3. finish, count, save  4. per feed: delete, write, save
What dies between two saves is repeated by the next run: every step of a target may run twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from adaptor.errors import RunError
from jobs.commits.manifest import Feed, Manifest, OutputFile
from jobs.commits.version_reader import VersionReader
from jobs.export.collection import Collection
from jobs.export.planning import Plan
from jobs.export.rows import Rows, feed_rows, file_rows
from jobs.export.state import State
from jobs.export.target import Target, check_id_length
from jobs.runtime.plural import plural
from jobs.runtime.progress import Progress
from jobs.runtime.read_ahead import read_ahead


@dataclass(frozen=True, kw_only=True)
class Loading:
    """A target, what is loaded into it, and the batches in which it is read."""

    target: Target
    reader: VersionReader
    collection: Collection
    batch_rows: int
    progress: Progress

    def run(self, plan: Plan) -> list[str]:
        """Do all of it; lines for the user. Raises RunError where rows are missing in the end."""
        lines: list[str] = []
        if plan.full is not None:
            lines = self._full(plan.full, plan.state)
        for feed in plan.feeds:
            self._feed(feed)
        if plan.feeds:
            lines = self.target.finish()
        return lines

    def _full(self, sequence: int, state: State | None) -> list[str]:
        """Load what is left of all files of a sequence."""
        reader = self.reader
        if reader.manifest.sequence != sequence:
            reader = VersionReader.open(reader.objects, sequence)
        resumed = state is not None
        if state is None:
            state = State(stamp=self.collection.stamp, sequence=sequence, files_loaded=0)
            self.target.create(state)
        files = ordered_files(reader.manifest)
        if self.target.takes.whole:
            rows = (self._file(reader, file) for file in files)
            self.target.write(self._checked(chain.from_iterable(rows)), new=True)
            files = []
        for number in range(state.files_loaded or 0, len(files)):
            self.target.write(self._checked(self._file(reader, files[number])), new=not resumed)
            resumed = False  # only the first of them may be there in part
            if number < len(files) - 1:
                state = state.with_file()
                self.target.save(state)
        lines = self.target.finish()
        lines += self._counted(reader.manifest.rows)
        self._save(sequence)
        return lines

    def _file(self, reader: VersionReader, file: OutputFile) -> Iterator[Rows]:
        return file_rows(reader, self.collection, file, self.batch_rows)

    def _feed(self, feed: Feed) -> None:
        """Apply the changes of one sequence."""
        self.target.delete(self._read(feed, "delete"))
        self.target.write(self._checked(self._read(feed, "upsert")), new=False)
        self._save(feed.sequence)

    def _save(self, sequence: int) -> None:
        """All of this sequence is loaded."""
        self.target.save(State(stamp=self.collection.stamp, sequence=sequence))

    def _read(self, feed: Feed, op: str) -> Iterator[Rows]:
        return feed_rows(self.reader, self.collection, feed, self.batch_rows, op)

    def _checked(self, batches: Iterator[Rows]) -> Iterator[Rows]:
        """The batches, counted; the next is read meanwhile."""
        for rows in read_ahead(batches):
            check_id_length(rows, self.target.takes)
            yield rows
            self.progress.advance(len(rows))

    def _counted(self, rows: int) -> list[str]:
        """RunError when the target holds fewer rows than were sent; a line when it holds more."""
        there = self.target.count()
        if there is not None and there < rows:
            raise RunError(
                f"{plural(rows, 'rows')} were sent, but the target holds {there:,}: ids stand twice in the output "
                "(matryoshka verify lists them), or rows were deleted meanwhile; make ids unique, or export again"
            )
        return [f"{there - rows:,} rows more are there than were sent"] if there is not None and there > rows else []


def ordered_files(manifest: Manifest) -> list[OutputFile]:
    """The files of a full load in an order that stays when files move."""
    return sorted(manifest.files, key=lambda file: (file.shard, file.sha256, file.path.rpartition("/")[2]))
