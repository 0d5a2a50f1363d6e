//! Steps with elapsed time.
