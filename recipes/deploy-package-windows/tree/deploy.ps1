# deploy.ps1 [-Check]: install the msi packages that this machine does not have.
# Statuses of msiexec: 0 done, 3010 done after a restart, others failed
# (learn.microsoft.com, "MsiExec.exe and InstMsi.exe error messages").
param([switch] $Check)
$ErrorActionPreference = 'Stop'
$status = 0
New-Item -ItemType Directory -Force -Path out | Out-Null
$installer = New-Object -ComObject WindowsInstaller.Installer

function Property($database, [string] $name) {
    $view = $database.OpenView("SELECT Value FROM Property WHERE Property = '$name'")
    $view.Execute()
    $record = $view.Fetch()
    if ($record) { $record.StringData(1) }
    $view.Close()
}

$packages = @(Get-ChildItem -Path packages -Filter *.msi | Sort-Object Name)
if ($packages.Count -eq 0) { [Console]::Error.WriteLine('there is no msi package in the folder'); exit 2 }
foreach ($package in $packages) {
    $database = $installer.OpenDatabase($package.FullName, 0) # read only
    $name, $code, $version = (Property $database 'ProductName'), (Property $database 'ProductCode'), (Property $database 'ProductVersion')
    [void][Runtime.InteropServices.Marshal]::ReleaseComObject($database)
    $installed = $null
    try { $installed = $installer.ProductInfo($code, 'VersionString') } catch { $installed = $null }
    if ($installed -eq $version) { "installed: $name $version"; continue }
    if ($Check) { "to install: $name $version (now $(if ($installed) { $installed } else { 'none' }))"; $status = 1; continue }
    $log = Join-Path (Resolve-Path out) "$($package.BaseName).log"
    $run = Start-Process -FilePath msiexec.exe -ArgumentList '/i', "`"$($package.FullName)`"", '/qn', '/norestart', '/l*v', "`"$log`"" -Wait -PassThru
    switch ($run.ExitCode) {
        0 { "now installed: $name $version" }
        3010 { "now installed, after a restart: $name $version" }
        default { [Console]::Error.WriteLine("not installed: $name $version (msiexec status $($run.ExitCode))"); $status = 1 }
    }
}
exit $status
