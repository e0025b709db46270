"""What lies between the three kinds of process (supervisor/, generation/, worker/).

    messages     what they say to each other
    channel      the way that they go
    packets      how that travels, with descriptors
    scoreboard   one page of shared memory: what each worker is doing
    refusals     why a request is refused, in words, and how that is counted
    launch       how a fresh interpreter is started
    interpreter  how it is furnished
    private      a listening socket that only a process and its children can reach
    lifeline     a pipe that tells the supervisor's end to processes that are not its children
    memory       files without a name
    endings      how a process ended, in words
    titles       what a process is called in `ps`
    standard_streams  what is on descriptors 0 to 2

Law: each of them may import this, so this imports none of them.
"""
