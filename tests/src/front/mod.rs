//! The ECR front: what an emulator lacks of ECR.
