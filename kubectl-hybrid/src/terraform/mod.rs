//! Terraform is read, never steered: state, workspaces and locks.
