output "clients_security_group_id" {
  description = "The group of clients: for security_group_ids of the bakers' node group in the module eks, or for a SecurityGroupPolicy (which must name the cluster's own group too)."
  value       = aws_security_group.clients.id
}
