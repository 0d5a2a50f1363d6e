output "namespace" {
  description = "The namespace."
  value       = local.namespace
}

output "workloads" {
  description = "The workloads by service: kind, name, container."
  value = {
    for name, deployment in kubernetes_deployment_v1.this : name => {
      kind      = "Deployment"
      name      = deployment.metadata[0].name
      container = name
    }
  }
}

output "services" {
  description = "The Services by service: name, port, node_port; null for a service without a port."
  value = {
    for name, service in var.services : name => service.port == null ? null : {
      name      = kubernetes_service_v1.this[name].metadata[0].name
      port      = service.port
      node_port = var.service_type == "NodePort" ? kubernetes_service_v1.this[name].spec[0].port[0].node_port : null
    }
  }
}
