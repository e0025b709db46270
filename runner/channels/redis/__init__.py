"""Channels in a Redis: several machines meet there.

    names      what a channel's keys are called, and who is rung for it
    scripts    what the Redis does at a stroke: publish, read; and what its answers mean
    faults     what an error means: try again, or say so, and in which words
    address    where the Redis is, and how one connects to it
    link       one connection, many calls in flight
    track      how far one channel has been heard, and whether what comes next can be believed
    follower   the connection that is told of new messages
    store      for the tasks of one event loop
    sync_store for whoever may block

The messages of a channel are entries of a stream; that is the truth. Besides, each is told to those who are subscribed
(PUBLISH), because a connection that only listens can follow thousands of channels at no cost, and takes one more
without being interrupted; a blocked XREAD would have to be sent all their names again after each message. What is told
is believed only as long as it continues what was heard; everything else - a lost connection, a gap, another epoch, a
silence - is looked up in the stream.

What a Redis has acknowledged and loses all the same (appendfsync everysec, a replica that lagged) nobody can bring
back: who has heard it is told of it, by a Resync; who had not heard it yet cannot be. With appendfsync always nothing
is lost. Its maxmemory-policy is to be noeviction: what it evicts is lost in the same way.

Laws: the library `redis` is imported when a store is opened, not before. It is asked to retry nothing: what may be said
twice is decided here. A password is in no message.
"""
