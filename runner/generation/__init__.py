"""The process that imports the application: a fresh interpreter, which watches its files and forks its workers.

    loop       its life: import, prove, fork, collect
    importing  the import, recorded
    drainer    the one reader of its change queue, asked by its workers
    lookout    beside it while it imports for long: is what it has read still what is there?
    page       beside it while it imports for longer than anybody should wait: says so

Law: one Python thread, or it could not be forked; it answers no request.
"""
