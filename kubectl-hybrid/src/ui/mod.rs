//! Stdout is data, stderr is for people.
