"""What measures: workloads, the two processes of a measurement, rounds, medians.

``leadscomm bench`` measures leadscomm with it; ``benchmarks/`` in the repository measures other libraries likewise.

::

    runner      rounds, interleaved; medians and ranges
    processes   the parent's end of one measuring process
    works       each workload: what the server does, what the client does, what the parent makes of it
    child       the measuring process: arguments, and the conversation with the parent over stdin and stdout
    peer        what a library has to offer to be measured
    ours        leadscomm as such a peer
"""
