"""Is the code in memory the code on disk?

    stamps      what identifies one state of one file
    patterns    which paths `--watch` and `--ignore` mean
    globs       what `--watch` names
    listings    what a directory offers to an import
    additions   what was added to the inputs, as one process tells another
    inputs      everything the application was made of, and how to compare it with the disk
    recorder    notices what is read, before it is read
    ahead       what an import will ask for, had ready before it does: a step for each module
    bytecode    which compiled code may be believed
    inotify     the kernel's queue of changes, read exactly
    coverage    which watches are set, so that whatever can change an input is in it
    links       the symbolic links on the way to a path
    filesystems where that queue tells everything
    baton       who of several processes reads it, one after the other
    noise       when the application's own writes make too much of it
    names       names that come and go, heard by each process for itself
    notice      what the one that reads shows those that only look
    waker       what wakes where there is no such queue
    git         when a work tree is half of one commit and half of another
    watch       inputs + inotify = a verdict; one for each generation
    check       the one question a worker asks before each request

Law: nothing here knows a request, an application or a process; whoever asks decides what to do with the answer.
"""
