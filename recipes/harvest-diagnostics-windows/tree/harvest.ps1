# Prints a report of sections. What a host does not have is told, never an error.
# Works with Windows PowerShell 3 (Windows 8, Server 2012) and later.
$ErrorActionPreference = 'Continue'
$OutputEncoding = [Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false

function Section([string] $title, [scriptblock] $body) {
    "`r`n=== $title"
    try { & $body 2>&1 | Out-String -Width 400 } catch { "--- $($_.Exception.Message)" }
}

"Diagnostics of $env:COMPUTERNAME, $([DateTime]::UtcNow.ToString('s'))Z"
Section 'System' { Get-CimInstance Win32_OperatingSystem | Format-List Caption, Version, BuildNumber, InstallDate, LastBootUpTime, LocalDateTime }
Section 'Logged in' { query.exe user }
Section 'Accounts' { Get-CimInstance Win32_UserAccount -Filter 'LocalAccount = True' | Format-Table Name, SID, Disabled, Lockout, PasswordRequired -AutoSize }
Section 'Administrators' { net.exe localgroup Administrators }
Section 'Processes' { Get-CimInstance Win32_Process | Sort-Object ProcessId | Format-Table ProcessId, ParentProcessId, CreationDate, ExecutablePath, CommandLine -AutoSize -Wrap }
Section 'Services' { Get-CimInstance Win32_Service | Sort-Object Name | Format-Table Name, State, StartMode, StartName, PathName -AutoSize -Wrap }
Section 'Sockets' { netstat.exe -ano }
Section 'Interfaces' { ipconfig.exe /all }
Section 'Routes' { route.exe print }
Section 'Neighbours' { arp.exe -a }
Section 'Name cache' { ipconfig.exe /displaydns }
Section 'Shares' { net.exe share }
Section 'Sessions' { net.exe session }
Section 'Scheduled tasks' { schtasks.exe /query /fo csv /v }
Section 'Programs that start by themselves' { Get-CimInstance Win32_StartupCommand | Format-Table Name, Command, Location, User -AutoSize -Wrap }
Section 'Run keys' {
    foreach ($hive in 'HKLM:', 'HKCU:') {
        foreach ($key in 'Run', 'RunOnce') { Get-ItemProperty "$hive\Software\Microsoft\Windows\CurrentVersion\$key" }
    }
}
Section 'Drivers' { driverquery.exe /v /fo csv }
Section 'Disks' { Get-CimInstance Win32_LogicalDisk | Format-Table DeviceID, FileSystem, Size, FreeSpace, VolumeName -AutoSize }
Section 'Updates' { Get-CimInstance Win32_QuickFixEngineering | Sort-Object InstalledOn | Format-Table HotFixID, InstalledOn, Description -AutoSize }
Section 'Antivirus' { Get-CimInstance -Namespace root/SecurityCenter2 -ClassName AntiVirusProduct }
"`r`n=== End of the report"
