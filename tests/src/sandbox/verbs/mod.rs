//! What a person can ask of the sandbox, one verb per file.

mod down;
mod env;
mod exec;
mod lock;
mod status;
mod up;

pub use down::down;
pub use env::env;
pub use exec::exec;
pub use lock::leave;
pub use status::{Row, RowState, rows, status};
pub use up::up;
