"""Names that lead elsewhere all the time."""

import contextlib
import threading


@contextlib.contextmanager
def exchanging(place, *targets):
    """`place` becomes a link to each of the targets in turn, without a moment in which it is not there."""
    ended = threading.Event()
    following = place.with_name(f"{place.name}.next")
    place.symlink_to(targets[-1])

    def exchange():
        while not ended.is_set():
            for target in targets:
                following.symlink_to(target)
                following.rename(place)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
