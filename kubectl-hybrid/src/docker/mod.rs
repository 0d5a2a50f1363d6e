//! Docker through its own CLI: the engine, builds, pushes and platforms.
