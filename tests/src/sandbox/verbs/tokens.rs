//! `tokens`: the life of the tokens that the ECR front gives out.
