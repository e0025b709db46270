"""The process that imports the application: a fresh interpreter, which watches its files and forks its workers.

    loop         its life: to be born, fork, collect
    birth        from the order to begin to the report: import, prove; on the way copies are left behind, paused
    importing    the import, recorded
    garbage      when it is looked for: seldom in an import
    preload      what the application imports of others, imported before it
    learned      which that is, kept between runs
    placement    where a pause is worth it (pure)
    pause        a process that waits, and goes on more than once
    pages        which memory it has written, for those who go on after it
    hush         who waits for whom, and the last word
    readiness    what is got ready meanwhile
    fork_safety  whether this process may be copied, and if not, who is to blame
    drainer      the one reader of its change queue, asked by its workers
    lookout      beside it while it imports for long: is what it has read still what is there?
    page         beside it while it imports for longer than anybody should wait: says so

Law: one Python thread, or it could not be forked; it answers no request, but for some before that (worker/first.py).
"""
