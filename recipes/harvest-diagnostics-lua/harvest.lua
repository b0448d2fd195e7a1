-- Prints one JSON object about the host; no program of the host is started.
local function first(file)
  return (webjob.read(file) or ""):gsub("%z", " "):gsub("%s+$", "")
end

local function lines(file)
  local list = {}
  for line in (webjob.read(file) or ""):gmatch("[^\n]+") do list[#list + 1] = line end
  return list
end

local report = {
  host = webjob.host(),
  kernel = first("/proc/version"),
  boot_arguments = first("/proc/cmdline"),
  mounts = lines("/proc/mounts"),
  modules = lines("/proc/modules"),
  users = {},
  processes = {},
  sockets = {},
  owners_programs = {},
}

for _, line in ipairs(lines("/etc/passwd")) do
  local name, uid, home, shell = line:match("^([^:]*):[^:]*:(%d+):[^:]*:[^:]*:([^:]*):([^:]*)")
  if name then report.users[#report.users + 1] = { name = name, uid = tonumber(uid), home = home, shell = shell } end
end

webjob.walk("/proc", function(path, facts)
  local pid = path:match("^/proc/(%d+)$")
  if pid then
    local status = webjob.read(path .. "/status") or ""
    local program = webjob.stat(path .. "/exe")
    report.processes[#report.processes + 1] = {
      pid = tonumber(pid),
      parent = tonumber(status:match("\nPPid:%s*(%d+)")),
      uid = tonumber(status:match("\nUid:%s*(%d+)")),
      name = status:match("^Name:%s*([^\n]*)"),
      command = first(path .. "/cmdline"),
      program = program and program.target,
    }
  end
  return path == "/proc"
end)

for _, kind in ipairs({ "tcp", "tcp6", "udp", "udp6" }) do
  for i, line in ipairs(lines("/proc/net/" .. kind)) do
    local here, there, state, uid = line:match("^%s*%d+: (%x+:%x+) (%x+:%x+) (%x+) %S+ %S+ %S+%s+(%d+)")
    if here then report.sockets[#report.sockets + 1] = { kind = kind, here = here, there = there, state = state, uid = tonumber(uid) } end
  end
end

for _, folder in ipairs({ "/bin", "/sbin", "/usr", "/opt" }) do
  webjob.walk(folder, function(path, facts)
    if facts.type == "file" and facts.mode:sub(4, 4):lower() == "s" then
      report.owners_programs[#report.owners_programs + 1] = { path = path, sha256 = webjob.hash(path), mode = facts.mode, user = facts.user }
    end
  end)
end

print(webjob.json_encode(report))
