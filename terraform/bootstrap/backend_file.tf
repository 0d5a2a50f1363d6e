# The backend settings of the root, as a file beside its configuration.

locals {
  # The names are known before anything is made, and so is the file's text.
  backend_hcl = join("\n", concat(
    [
      "bucket         = ${jsonencode(local.bucket)}",
      "region         = ${jsonencode(data.aws_region.current.name)}",
    ],
    var.lock_table ? ["dynamodb_table = ${jsonencode(local.table)}"] : [],
    # Without the key the backend would ask for AES256 with each write.
    var.kms_key_arn == null ? [] : ["kms_key_id     = ${jsonencode(var.kms_key_arn)}"],
    ["use_lockfile   = true", ""],
  ))

  # A home folder begins with a drive's letter there, and with a slash everywhere else.
  is_windows = !startswith(pathexpand("~"), "/")
}

# Terraform's own provider and the shell of the system: no further provider for one small file. It is
# written again when its text or its place changes, and with -replace=terraform_data.backend_file[0].
resource "terraform_data" "backend_file" {
  count = var.backend_file == "" ? 0 : 1

  triggers_replace = [var.backend_file, local.backend_hcl]

  provisioner "local-exec" {
    working_dir = path.module
    interpreter = local.is_windows ? ["PowerShell", "-NoProfile", "-Command"] : ["/bin/sh", "-c"]
    command = (
      local.is_windows
      ? "[IO.File]::WriteAllText((Join-Path (Get-Location) $env:BACKEND_FILE), $env:BACKEND_HCL)"
      : "printf %s \"$BACKEND_HCL\" > \"$BACKEND_FILE\""
    )
    environment = {
      BACKEND_FILE = var.backend_file
      BACKEND_HCL  = local.backend_hcl
    }
  }

  # A file that names what could not be made would help nobody.
  depends_on = [aws_s3_bucket.state, aws_dynamodb_table.lock]
}
