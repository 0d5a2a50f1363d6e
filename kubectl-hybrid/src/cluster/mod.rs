//! The cluster: client, guard, pull secret, workloads and roll-outs.
