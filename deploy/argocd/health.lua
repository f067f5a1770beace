-- The health of a TezosSigner for Argo CD, by its condition Ready. docs/gitops.md has the table.
hs = {status = "Progressing", message = "the operator has not reported yet"}
local ready, paused
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == "Ready" then
      ready = condition
    elseif condition.type == "Paused" then
      paused = condition.status ~= "False"
    end
  end
end
if ready == nil then
  return hs
end
hs.message = ready.message
if obj.metadata.deletionTimestamp ~= nil then
  return hs
end
-- During a pause, Ready describes the spec that is in use, not the newest one.
if paused and (ready.status == "True" or ready.reason == "Paused") then
  hs.status = "Suspended"
elseif not paused and ready.observedGeneration ~= nil and ready.observedGeneration < obj.metadata.generation then
  hs.message = "the operator has not seen this change yet"
elseif ready.reason == "Suspended" then
  hs.status = "Suspended"
elseif ready.reason == "Starting" or ready.reason == "NotHeld" or (ready.status == "True" and ready.reason == "Degraded") then
  hs.status = "Progressing" -- a pod starts, or waits for the lease, or one of several replicas is not ready: the message says which
elseif ready.status == "True" and ready.reason ~= "SealingKeyUnreachable" then
  hs.status = "Healthy"
else
  hs.status = "Degraded"
end
return hs
