//! Stdout is data, stderr is for people.

mod screen;
mod table;

pub use screen::Ui;
pub use table::table;
